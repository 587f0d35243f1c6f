import { throws } from 'node:assert/strict';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  DEFAULT_FETCH_POLICY,
  DestinationCheck,
} from '../../../../src/drivers/image/fetch-policy.ts';

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

test('a name that resolves to a closed address only is refused by the lookup itself', async () => {
  const lookup = promisify(standard.lookup);
  const error = await lookup('localhost', { all: true }).catch((thrown: unknown) => thrown);
  assert.match(String(error), /may not be fetched from localhost \((127\.|::1)/);
});

test.run();
