// Who is let in, and what becomes of who breaks the protocol.
import { rejects } from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { WebSocket } from 'ws';
import { encodeItem, joinItems } from '../../../transport/mesh/frame.ts';
import type { MeshIdentity } from '../../../transport/mesh/socket.ts';
import { testAuthority } from '../../support/mesh-certificates.ts';
import { waitUntil } from '../../support/wait.ts';
import { failure, helloOf, meshLab } from '../../support/mesh-lab.ts';

const test = suite('mesh door');
const lab = meshLab();
const { inCluster, identityOf } = lab;
const to = { kind: 'instance', id: 'one' };
const options = { trace: 'trace-1', timeoutMs: 10_000 };

test.after(() => lab.close());

test('a peer of another cluster, of another name or of no common protocol is refused, with the reason', () =>
  inCluster(async (world) => {
    const a = await world.start('a');
    await world.start('b', { hello: { ...helloOf('b'), cluster: 'other' } });
    await rejects(
      a.mesh.ask('b', to, 1, options),
      failure('mesh/unreachable', /refused: .*cluster/),
    );
    await world.start('c', { hello: { ...helloOf('c'), protocolMin: 2, protocolMax: 2 } });
    await rejects(
      a.mesh.ask('c', to, 1, options),
      failure('mesh/unreachable', /refused: protocols/),
    );
  }));

test('neighbouring protocol versions work together', () =>
  inCluster(async (world) => {
    const a = await world.start('a', { hello: { ...helloOf('a'), protocolMax: 2 } });
    await world.start('b');
    assert.is((await a.mesh.ask('b', to, 1, options)).revision, 7);
  }));

test('a certificate of another authority is let in on neither side, and one name cannot pass for another', () =>
  inCluster(async (world) => {
    const other = testAuthority();
    const foreign = other.identity('a');
    other.close();
    const b = await world.start('b');
    const a = await world.start('a', { identity: foreign });
    await rejects(a.mesh.ask('b', to, 1, options), failure('mesh/unreachable'));
    await rejects(b.mesh.ask('a', to, 1, options), failure('mesh/unreachable'));
    world.ports.set('c', b.mesh.port);
    const honest = await world.start('a');
    await rejects(
      honest.mesh.ask('c', to, 1, options),
      failure('mesh/unreachable', /b answers there/),
    );
    assert.equal(b.heard, []);
  }));

test('who is not admitted any more gets in by neither way, and loses its link', () =>
  inCluster(async (world) => {
    const barred = new Set<string>();
    const keys: string[] = [];
    const admits = (name: string, publicKey: string) => {
      keys.push(publicKey);
      return !barred.has(name);
    };
    const b = await world.start('b', { admits });
    const a = await world.start('a');
    await a.mesh.ask('b', to, 1, options);
    const { publicKey } = new X509Certificate(identityOf('a').certificate);
    assert.equal(keys, [publicKey.export({ type: 'spki', format: 'pem' })]);
    barred.add('a');
    b.mesh.cut('a', 'removed from the cluster');
    await waitUntil('the link has ended', () => a.mesh.linkCount === 0);
    await rejects(a.mesh.ask('b', to, 1, options), failure('mesh/unreachable'));
    assert.is(b.heard.length, 1);
  }));

/** A client with a good certificate that says what it likes. */
async function rudeSocket(port: number, identity: MeshIdentity, frames: readonly Uint8Array[]) {
  const socket = new WebSocket(`wss://127.0.0.1:${port}/mesh`, {
    ca: identity.ca,
    cert: identity.certificate,
    key: identity.key,
    rejectUnauthorized: false,
  });
  const isClosed = once(socket, 'close') as Promise<[number, Buffer]>;
  await once(socket, 'open');
  for (const frame of frames) socket.send(frame);
  return { socket, isClosed };
}

async function rude(...client: Parameters<typeof rudeSocket>) {
  const { isClosed } = await rudeSocket(...client);
  const [closedWith, reason] = await isClosed;
  return { code: closedWith, reason: reason.toString() };
}

const helloFrame = (node: string) => joinItems([encodeItem({ kind: 'hello', ...helloOf(node) })]);

test('frames that break the protocol end the link and nothing else', () =>
  inCluster(async (world) => {
    const [a, b] = [await world.start('a'), await world.start('b')];
    const identity = identityOf('c');
    const hello = helloFrame('c');
    const foreign = encodeItem({ kind: 'hello', ...helloOf('c'), cluster: '集'.repeat(1_000) });
    const ping = joinItems([encodeItem({ kind: 'ping', count: 1 })]);
    const cases: [Uint8Array[], RegExp][] = [
      [[Uint8Array.of(0xc1, 1, 2)], /not a frame/],
      [[ping], /before hello/],
      [[hello, hello], /second hello/],
      [[hello, joinItems([Uint8Array.of(0x91, 1)])], /malformed/],
      [[helloFrame('a')], /certificate of c/],
      [[joinItems([foreign])], /this is cluster lab/],
    ];
    for (const [frames, reason] of cases) {
      const ended = await rude(b.mesh.port, identity, frames);
      assert.ok(ended.code === 4000 || ended.code === 4001, String(ended.code));
      assert.match(ended.reason, reason);
    }
    assert.is((await a.mesh.ask('b', to, 1, options)).revision, 7);
  }));

test('a message that is too large, or text, ends the link before it is decoded', () =>
  inCluster(async (world) => {
    const [a, b] = [await world.start('a'), await world.start('b')];
    const identity = identityOf('c');
    const large = new Uint8Array(1024 * 1024 + 1);
    const ended = await rude(b.mesh.port, identity, [helloFrame('c'), large]);
    assert.is(ended.code, 1009);
    const { socket, isClosed } = await rudeSocket(b.mesh.port, identity, [helloFrame('c')]);
    socket.send('hello');
    assert.is((await isClosed)[0], 4000);
    assert.is((await a.mesh.ask('b', to, 1, options)).revision, 7);
  }));

test('who shows no certificate gets no WebSocket', () =>
  inCluster(async (world) => {
    const b = await world.start('b');
    const socket = new WebSocket(`wss://127.0.0.1:${b.mesh.port}/mesh`, {
      rejectUnauthorized: false,
    });
    let isOpen = false;
    socket.on('open', () => (isOpen = true));
    socket.on('error', () => undefined);
    await once(socket, 'close').catch(() => undefined);
    assert.is(isOpen, false);
    assert.is(b.mesh.linkCount, 0);
  }));

/** Outside of the heap, where buffers are, without what is only waiting to be collected. */
function heldBytes(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().external;
}

test('a peer that stops reading gets no more than the limit, and loses the link in the end', () =>
  inCluster(async (world) => {
    const large = 'x'.repeat(512 * 1024);
    const b = await world.start('b', {
      handle: () => Promise.resolve({ value: large, revision: 0 }),
    });
    const identity = identityOf('c');
    const { socket, isClosed } = await rudeSocket(b.mesh.port, identity, [helloFrame('c')]);
    await waitUntil('the link', () => b.mesh.status()[0]?.state === 'open');
    socket.pause();
    const before = heldBytes();
    for (let seq = 1; seq <= 500; seq++) {
      socket.send(
        joinItems([encodeItem({ kind: 'ask', seq, timeoutMs: 1_000, to, trace: 't', body: null })]),
      );
    }
    await waitUntil('the end of the link', () => b.mesh.linkCount === 0);
    const grownBytes = heldBytes() - before;
    assert.ok(grownBytes < 96 * 1024 * 1024, `${grownBytes} bytes for 250 MiB of answers`);
    assert.ok(b.lines.some(({ fields }) => /does not read/.test(String(fields?.['reason']))));
    socket.terminate();
    await isClosed;
  }));

test.run();
