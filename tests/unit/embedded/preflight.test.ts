import { createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { rejects, throws } from 'node:assert/strict';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  checkClock,
  checkDisk,
  checkMachine,
  checkPort,
  checkPrivileges,
} from '../../../src/embedded/preflight.ts';

const test = suite('preflight');

const status = (uid: number, capabilities: string) =>
  `Name:\tnode\nUid:\t${uid}\t${uid}\t${uid}\t${uid}\nCapEff:\t${capabilities}\n`;
const listener = (port: number, address = '127.0.0.1') => ({
  what: 'the API',
  setting: 'api',
  address,
  port,
});

test('root with its capabilities may', () => {
  checkPrivileges(status(0, '000001ffffffffff'));
});

test('another user is told to use sudo', () => {
  throws(() => checkPrivileges(status(1000, '0000000000000000')), {
    code: 'host/no-privilege',
    message: /has to run as root: use sudo$/,
  });
});

test('a container without the capabilities is told which', () => {
  // Docker's default set.
  throws(() => checkPrivileges(status(0, '00000000a80425fb')), {
    code: 'host/no-privilege',
    message: /root here lacks CAP_NET_ADMIN and CAP_SYS_ADMIN/,
  });
});

test('a clock before our time is refused', () => {
  throws(() => checkClock(0), { code: 'config/invalid', message: /clock says 1970-01-01/ });
  checkClock(Date.now());
});

test('a full disk is told in MiB', () => {
  throws(() => checkDisk('/data', 100 * 1024 ** 2, 1024 ** 3), {
    code: 'host/disk-full',
    message:
      '/data has 100 MiB free and 1024 MiB are needed: make room, or choose another disk with --data-dir',
  });
  checkDisk('/data', 2 * 1024 ** 3, 1024 ** 3);
});

test('a port in use is named with the setting that changes it', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await rejects(checkPort(listener(port)), {
    code: 'host/port-in-use',
    message: `port ${port} on 127.0.0.1, where the API should listen, is taken by another program: stop that, or choose another port with --api-port`,
  });
  server.close();
  await once(server, 'close');
  await checkPort(listener(port));
});

test('an address of another machine is named as such', async () => {
  await rejects(checkPort(listener(13000, '192.0.2.1')), {
    code: 'config/invalid',
    message: /cannot listen on 192\.0\.2\.1 port 13000 \(EADDRNOTAVAIL\).*--api-address$/,
  });
});

test('a free disk of this machine is measured, not assumed', async () => {
  const wanted = { dataDirectory: '/tmp', listeners: [], leastFreeBytes: 2 ** 60 };
  await rejects(checkMachine(wanted), { code: 'host/disk-full' });
  await checkMachine({ ...wanted, leastFreeBytes: 1 });
  assert.ok(true);
});

test.run();
