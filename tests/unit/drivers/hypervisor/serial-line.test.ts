// A serial console that several have open.
import { rejects } from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { MAX_UNREAD_BYTES, SerialLines } from '../../../../src/drivers/hypervisor/serial-line.ts';
import { failure } from '../../../support/mesh-lab.ts';
import { waitUntil } from '../../../support/wait.ts';

const test = suite('serial line');
const [IAC, DO, WILL] = [255, 253, 251];
const alive = setInterval(() => undefined, 1_000);

/** A console as QEMU serves it: one connection at a time. */
class Qemu {
  readonly server: Server = createServer();
  readonly got: Buffer[] = [];
  connections = 0;
  guest: Socket | undefined;

  async start(): Promise<{ host: string; port: number }> {
    this.server.on('connection', (socket) => {
      this.connections++;
      this.guest = socket;
      socket.write(Buffer.from([IAC, WILL, 3]));
      socket.on('data', (chunk: Buffer) => this.got.push(chunk));
      socket.on('error', () => socket.destroy());
    });
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    return { host: '127.0.0.1', port: (this.server.address() as AddressInfo).port };
  }
}

let qemu: Qemu;
let place: { host: string; port: number };
test.before.each(async () => {
  qemu = new Qemu();
  place = await qemu.start();
});
test.after.each(() => {
  qemu.guest?.destroy();
  qemu.server.close();
});
test.after(() => clearInterval(alive));

function hearing(line: Duplex): () => string {
  let text = '';
  line.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
  line.on('error', () => undefined);
  return () => text;
}

test('all who are attached hear the guest, over one connection; each may type; the last to leave ends it', async () => {
  const lines = new SerialLines();
  const [one, two] = await Promise.all([lines.attach('i', place), lines.attach('i', place)]);
  const [first, second] = [hearing(one), hearing(two)];
  qemu.guest?.write(Buffer.from([97, IAC, IAC, 98]));
  await waitUntil('both hear', () => first() === 'aÿb' && second() === 'aÿb');
  one.write('x');
  two.write(Buffer.from([IAC]));
  const expected = Buffer.from([IAC, DO, 3, 120, IAC, IAC]);
  await waitUntil('typed', () => Buffer.concat(qemu.got).length === expected.length);
  assert.equal(Buffer.concat(qemu.got), expected);
  one.destroy();
  qemu.guest?.write('c');
  await waitUntil('the other hears on', () => second() === 'aÿbc');
  assert.is(qemu.connections, 1);
  const { guest } = qemu;
  two.destroy();
  await waitUntil('it is ended', () => guest?.destroyed === true || guest?.readableEnded === true);
  const again = await lines.attach('i', place);
  await waitUntil('a new one', () => qemu.connections === 2);
  again.destroy();
});

test('who does not read is cut off; the guest and the others are not held up', async () => {
  const lines = new SerialLines();
  const [slow, quick] = [await lines.attach('i', place), await lines.attach('i', place)];
  const heard = hearing(quick);
  const failed = once(slow, 'error');
  const much = Buffer.alloc(2 * MAX_UNREAD_BYTES, 'x');
  qemu.guest?.write(much);
  const [error] = (await failed) as [Error];
  assert.match(error.message, 'not read');
  await waitUntil('the other has all', () => heard().length === much.length);
  quick.destroy();
});

test('the guest ends: so do all who are attached; nobody there: refused', async () => {
  const lines = new SerialLines();
  const line = await lines.attach('i', place);
  line.resume();
  const ended = once(line, 'end');
  qemu.guest?.destroy();
  await ended;
  qemu.server.close();
  await rejects(lines.attach('j', place), failure('object/wrong-phase', /may be off/));
});

test.run();
