// Tickets, and consoles over WebSocket.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import { openApiWorld, type ApiWorld, type Tenant } from '../../support/api-world.ts';
import { ApiSocket, StreamReader } from '../../support/stream-reader.ts';
import { waitUntil } from '../../support/wait.ts';

const test = suite('sockets');
const alive = setInterval(() => undefined, 1_000);
let world: ApiWorld;
let uuid: string;

test.before(async () => {
  world = await openApiWorld();
  uuid = String((await world.instance())['uuid']);
  await world.settled(`/instances/${uuid}`, 'created');
});
test.after(async () => {
  clearInterval(alive);
  await world.close();
});
test.before.each(() => {
  world.machine.lines.length = 0;
  world.machine.consoleFailure = undefined;
});

async function ticket(body: object, as: Tenant = 'lab'): Promise<string> {
  const { path } = await world.ok('POST', '/tickets', { as, body });
  return String(path);
}

/** What an upgrade with this ticket is answered, by whom that has no token. */
async function opens(path: string, headers: Record<string, string> = {}): Promise<number> {
  const socket = await new ApiSocket(world, path, { as: null, headers }).opened();
  const status = socket.refused?.status ?? 101;
  socket.close();
  return status;
}

async function line(which: string) {
  await waitUntil('it is open', () => world.machine.lines.some((one) => one.which === which));
  const found = world.machine.lines.find((one) => one.which === which);
  if (found === undefined) throw new Error(which);
  return found.guest;
}

test('a ticket opens its socket without a token, once', async () => {
  const path = await ticket({ purpose: 'stream' });
  assert.is(await opens(path), 101);
  assert.is(await opens(path), 401);
  assert.is(world.booth.size, 0);
});

test('of two who use a ticket at the same time, one is let in', async () => {
  const path = await ticket({ purpose: 'stream' });
  const statuses = await Promise.all([opens(path), opens(path), opens(path)]);
  assert.equal(
    statuses.toSorted((a, b) => a - b),
    [101, 401, 401],
  );
});

test('a ticket is as its maker: it sees what that one sees', async () => {
  const reader = await new StreamReader(
    world,
    {},
    { as: null },
    await ticket({ purpose: 'stream' }, 'other'),
  ).live();
  await world.network({ name: 'not-theirs' });
  await world.network({ name: 'theirs' }, 'other');
  await waitUntil('news', () => reader.items.length > 0);
  assert.ok(reader.items.every(({ namespace }) => namespace === 'other'));
  reader.close();
});

test('a ticket for one thing opens no other', async () => {
  const other = String((await world.instance({ name: 'db' }))['uuid']);
  await world.settled(`/instances/${other}`, 'created');
  const [address, query] = (await ticket({ purpose: 'console', instance: 'web' })).split('?');
  assert.is(address, `/instances/${uuid}/console`);
  assert.is(await opens(`/stream?${query}`), 401);
  const again = (await ticket({ purpose: 'console', instance: 'web' })).split('?')[1];
  assert.is(await opens(`/instances/${uuid}/vdi?${again}`), 401);
  const third = (await ticket({ purpose: 'console', instance: 'web' })).split('?')[1];
  assert.is(await opens(`/instances/${other}/console?${third}`), 401);
  // What was opened for it is not left open.
  const { lines } = world.machine;
  for (const { guest } of lines) guest.resume();
  await waitUntil('it is closed', () => lines.every(({ guest }) => guest.destroyed));
});

test('a ticket ends by time, and with its key', async () => {
  const late = await ticket({ purpose: 'stream' });
  const elsewhere = await ticket({ purpose: 'stream' }, 'other');
  await world.setKey('other', 'new');
  world.forgetTokens();
  assert.is(await opens(elsewhere), 401);
  const { monoMs } = world.clock;
  const now = monoMs();
  world.clock.monoMs = () => now + 31_000;
  assert.is(await opens(late), 401);
  world.clock.monoMs = monoMs;
});

test('a page of another origin uses a ticket only when that names it', async () => {
  const same = { Origin: `http://127.0.0.1:${world.port}` };
  const foreign = { Origin: 'https://evil.example' };
  assert.is(await opens(await ticket({ purpose: 'stream' }), same), 101);
  assert.is(await opens(await ticket({ purpose: 'stream' }), foreign), 401);
  const named = { purpose: 'stream', origin: 'https://cloud.example' };
  assert.is(await opens(await ticket(named), { Origin: 'https://cloud.example' }), 101);
  assert.is(await opens(await ticket(named), foreign), 401);
  assert.is(await opens(await ticket(named)), 401);
});

test('what is no ticket is refused, and asks no other node', async () => {
  const texts = [
    '',
    '.',
    'x',
    `${Buffer.from('n9').toString('base64url')}.x`,
    'x'.repeat(5_000),
    '%00.%00',
  ];
  for (const text of texts) assert.is(await opens(`/stream?ticket=${text}`), 401, text);
  // Never a token in an address.
  assert.is(await opens(`/stream?token=${world.token('lab')}`), 401);
  assert.is(await opens(`/stream?ticket=${world.token('lab')}`), 401);
});

for (const body of [
  {},
  { purpose: 'other' },
  { purpose: 'console' },
  { purpose: 'stream', instance: 'web' },
  { purpose: 'stream', origin: 'https://cloud.example/path' },
  { purpose: 'stream', origin: 'nonsense' },
]) {
  test(`no ticket for ${JSON.stringify(body)}`, async () => {
    assert.is((await world.call('POST', '/tickets', { body })).status, 400);
  });
}

test("nobody gets a ticket for another's instance, nor its console", async () => {
  const body = { purpose: 'console', instance: uuid };
  assert.is((await world.call('POST', '/tickets', { as: 'other', body })).status, 404);
  const path = `/instances/${uuid}/console`;
  assert.is((await new ApiSocket(world, path, { as: 'other' }).isRefused()).status, 404);
  assert.equal(world.machine.lines, []);
});

test('many tickets of one namespace drop its oldest, and nobody else’s', async () => {
  const kept = await ticket({ purpose: 'stream' }, 'other');
  const first = await ticket({ purpose: 'stream' });
  for (let count = 0; count < 256; count++) await ticket({ purpose: 'stream' });
  assert.is(await opens(first), 401);
  assert.is(await opens(kept), 101);
});

test('a console carries bytes both ways as they are', async () => {
  const socket = await new ApiSocket(world, `/instances/${uuid}/console`).opened();
  const guest = await line('serial');
  guest.write(Buffer.from([0, 255, 10]));
  await waitUntil('heard', () => socket.bytes.length > 0);
  assert.equal(Buffer.concat(socket.bytes), Buffer.from([0, 255, 10]));
  const typed: Buffer[] = [];
  guest.on('data', (chunk: Buffer) => typed.push(chunk));
  socket.socket.send(Buffer.from([13, 255, 0]));
  socket.socket.send('text');
  await waitUntil('typed', () => Buffer.concat(typed).length === 7);
  assert.equal(
    Buffer.concat(typed),
    Buffer.concat([Buffer.from([13, 255, 0]), Buffer.from('text')]),
  );
  socket.close();
  await waitUntil('left', () => guest.destroyed || guest.readableEnded);
});

test('a screen is carried whole, however slow the client', async () => {
  const socket = await new ApiSocket(world, `/instances/${uuid}/vdi`).opened();
  const guest = await line('graphic');
  socket.socket.pause();
  const picture = Buffer.alloc(32 * 1024 * 1024, 'screen');
  let isTaken = false;
  guest.write(picture, () => (isTaken = true));
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.not(isTaken, 'the daemon does not take what nobody reads');
  socket.socket.resume();
  await waitUntil(
    'all of it',
    () => socket.bytes.reduce((sum, one) => sum + one.length, 0) === picture.length,
  );
  assert.ok(Buffer.concat(socket.bytes).equals(picture));
  socket.close();
});

test('an instance without a console is a conflict, a machine out of reach a 503', async () => {
  const path = `/instances/${uuid}/console`;
  world.machine.consoleFailure = new TroupeError('object/wrong-phase', 'the instance is off');
  const off = await new ApiSocket(world, path).isRefused();
  assert.is(off.status, 409);
  assert.match(off.text, 'the instance is off');
  world.machine.consoleFailure = new TroupeError('mesh/unreachable', 'n2 cannot be reached');
  assert.is((await new ApiSocket(world, path).isRefused()).status, 503);
  assert.is((await world.call('GET', path)).status, 426);
});

test('a console that ends says why: off, lost, or deleted', async () => {
  const path = `/instances/${uuid}/console`;
  const lost = await new ApiSocket(world, path).opened();
  (await line('serial')).destroy(new Error('cut'));
  await lost.isClosed();
  world.machine.lines.length = 0;
  const off = await new ApiSocket(world, path).opened();
  const guest = await line('serial');
  await world.call('POST', `/instances/${uuid}/poweroff`);
  guest.end();
  assert.equal(await off.isClosed(), { code: 4010, reason: 'the instance is off' });
  await world.call('POST', `/instances/${uuid}/poweron`);
  world.machine.lines.length = 0;
  const deleted = await new ApiSocket(world, path).opened();
  const last = await line('serial');
  await world.ok('DELETE', `/instances/${uuid}`);
  last.end();
  const { code, reason } = await deleted.isClosed();
  assert.is(code, 4010);
  assert.match(reason, /deleted/);
});

test.run();
