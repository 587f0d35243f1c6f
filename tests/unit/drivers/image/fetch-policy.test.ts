import { throws } from 'node:assert/strict';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  DEFAULT_FETCH_POLICY,
  DestinationCheck,
} from '../../../../src/drivers/image/fetch-policy.ts';
import { endpointOf, resolved } from '../../../../src/drivers/image/cluster-services.ts';

const test = suite('fetch policy');
const standard = new DestinationCheck(DEFAULT_FETCH_POLICY);

const CLOSED = [
  '127.0.0.1',
  '127.9.9.9',
  '0.0.0.0',
  '169.254.169.254',
  '224.0.0.1',
  '255.255.255.255',
  '::1',
  '::',
  'fe80::1',
  'ff02::1',
  '::ffff:127.0.0.1',
  '::ffff:169.254.169.254',
  '64:ff9b::7f00:1',
  '64:ff9b:1::7f00:1',
  '2002:7f00:1::',
];
for (const address of CLOSED) {
  test(`${address} is closed by default`, () => assert.is(standard.isAllowed(address), false));
}

for (const address of ['10.0.0.1', '192.168.1.1', '93.184.216.34', '2001:db8::1', 'fd00::1']) {
  test(`${address} is open by default`, () => assert.is(standard.isAllowed(address), true));
}

test('what is allowed wins over what is refused', () => {
  const check = new DestinationCheck({ refuse: ['10.0.0.0/8'], allow: ['10.1.2.3'] });
  assert.is(check.isAllowed('10.1.2.3'), true);
  assert.is(check.isAllowed('10.1.2.4'), false);
});

test('a block that cannot be read is refused at start', () => {
  for (const block of ['10.0.0.0/33', 'fe80::/129', 'localhost', '10.0.0.0/x', '']) {
    throws(() => new DestinationCheck({ refuse: [block], allow: [] }), { code: 'config/invalid' });
  }
});

for (const spelling of [
  '2130706433',
  '0x7f.1',
  '0177.0.0.1',
  '127.1',
  '[::ffff:7f00:1]',
  '[0:0:0:0:0:ffff:169.254.169.254]',
]) {
  test(`a closed address by another spelling is closed: ${spelling}`, () => {
    throws(() => standard.checkLiteral(new URL(`http://${spelling}/x`)), { code: 'image/bad-url' });
  });
}

test('a service of the cluster is closed at its port, whatever is allowed, also as a mapped address', async () => {
  const services = await resolved([
    { host: '10.1.0.1', port: 2379 },
    { host: 'localhost', port: 7001 },
    ...endpointOf('https://[fd00::1]/x'),
    ...endpointOf(''),
  ]);
  const check = new DestinationCheck({ refuse: [], allow: ['0.0.0.0/0', '::/0'], services });
  for (const url of [
    'http://10.1.0.1:2379/',
    'http://[::ffff:10.1.0.1]:2379/',
    'https://[fd00::1]/y',
    'http://127.0.0.1:7001/',
  ])
    throws(() => check.checkLiteral(new URL(url)), { code: 'image/bad-url' }, url);
  for (const url of [
    'http://10.1.0.1:80/',
    'http://10.1.0.2:2379/',
    'http://[fd00::1]/y',
    'http://127.0.0.1:7002/',
  ])
    check.checkLiteral(new URL(url));
  const closed = promisify(check.lookupFor(new URL('http://localhost:7001/')));
  const error = await closed('localhost', { all: true }).catch((thrown: unknown) => thrown);
  assert.match(String(error), /may not be fetched from localhost/);
  const open = promisify(check.lookupFor(new URL('http://localhost:7002/')));
  assert.ok((await open('localhost', { all: true })).length > 0);
});

test('a service that listens everywhere is closed at each address of this machine', async () => {
  const services = await resolved([{ host: '0.0.0.0', port: 1 }]);
  assert.ok(services.some(({ host, port }) => host === '127.0.0.1' && port === 1));
});

test('a name that resolves to a closed address only is refused by the lookup itself', async () => {
  const lookup = promisify(standard.lookupFor(new URL('http://localhost/')));
  const error = await lookup('localhost', { all: true }).catch((thrown: unknown) => thrown);
  assert.match(String(error), /may not be fetched from localhost \((127\.|::1)/);
});

test.run();
