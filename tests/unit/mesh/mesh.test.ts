// Daemons that ask each other over real sockets on loopback.
import { rejects } from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { WebSocket } from 'ws';
import { systemClock } from '../../../actors/kernel/clock.ts';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import { encodeItem, joinItems, type Hello } from '../../../transport/mesh/frame.ts';
import { Mesh, type MeshOptions } from '../../../transport/mesh/mesh.ts';
import type { MeshIdentity } from '../../../transport/mesh/socket.ts';
import { keptLog } from '../../support/kernel.ts';
import { testAuthority } from '../../support/mesh-certificates.ts';
import { waitUntil } from '../../support/wait.ts';

const test = suite('mesh');
const authority = testAuthority();
const identities = new Map(['a', 'b', 'c'].map((name) => [name, authority.identity(name)]));
const to = { kind: 'instance', id: 'one' };
const options = { trace: 'trace-1', timeoutMs: 10_000 };
let boots = 0;
// Neither sockets' nor our clock's timers keep the process alive while a test waits for them.
const alive = setInterval(() => undefined, 1_000);

test.after(() => {
  authority.close();
  clearInterval(alive);
});

interface Node {
  readonly mesh: Mesh;
  readonly heard: { from: string; body: unknown; trace: string }[];
  readonly lines: ReturnType<typeof keptLog>['lines'];
}

/** Nodes that know each other's ports; all are closed at the end. */
async function inCluster(body: (world: World) => Promise<void>): Promise<void> {
  const world = new World();
  try {
    await body(world);
  } finally {
    await Promise.all(world.open.map((mesh) => mesh.close()));
  }
}

class World {
  readonly open: Mesh[] = [];
  readonly ports = new Map<string, number>();

  async start(name: string, changes: Partial<MeshOptions> = {}, port = 0): Promise<Node> {
    const heard: Node['heard'] = [];
    const { log, lines } = keptLog();
    const mesh = await Mesh.open({
      hello: helloOf(name),
      identity: identityOf(name),
      listen: { host: '127.0.0.1', port },
      addressOf: (node) => {
        const known = this.ports.get(node);
        return known === undefined ? undefined : { host: '127.0.0.1', port: known };
      },
      handle: (from, _to, message, { trace }) => {
        heard.push({ from, body: message, trace });
        return Promise.resolve({ value: { echo: message as string }, revision: 7 });
      },
      clock: systemClock,
      random: Math.random,
      log,
      ...changes,
    });
    this.open.push(mesh);
    this.ports.set(name, mesh.port);
    return { mesh, heard, lines };
  }
}

function identityOf(name: string): MeshIdentity {
  const identity = identities.get(name);
  if (identity === undefined) throw new Error(`no identity for ${name}`);
  return identity;
}

function helloOf(node: string): Omit<Hello, 'kind'> {
  const bootId = `boot-${++boots}`;
  const protocol = { protocolMin: 1, protocolMax: 1 };
  return { ...protocol, cluster: 'lab', node, bootId, version: '1', features: [] };
}

const code =
  (wanted: string, text = /./) =>
  (error: unknown) => {
    assert.instance(error, TroupeError);
    const { code: found, message } = error as TroupeError;
    assert.is(found, wanted, message);
    assert.match(message, text);
    return true;
  };

test('an ask goes to the peer with its trace, and the answer comes back with its revision', () =>
  inCluster(async (world) => {
    const [a, b] = [await world.start('a'), await world.start('b')];
    assert.equal(await a.mesh.ask('b', to, 'hello', options), {
      value: { echo: 'hello' },
      revision: 7,
    });
    assert.equal(await b.mesh.ask('a', to, { deep: [1, null] }, options), {
      value: { echo: { deep: [1, null] } },
      revision: 7,
    });
    assert.equal(b.heard, [{ from: 'a', body: 'hello', trace: 'trace-1' }]);
    assert.equal(a.mesh.status(), [{ node: 'b', state: 'open', reason: null }]);
  }));

test('a refusal crosses with code, message and detail; a bug crosses as a crash', () =>
  inCluster(async (world) => {
    const a = await world.start('a');
    const failures = [
      new TroupeError('network/in-use', 'in use by two', { users: 2 }),
      new Error('a bug'),
    ];
    await world.start('b', { handle: () => Promise.reject(failures.shift() ?? new Error()) });
    const refused = a.mesh.ask('b', to, null, options);
    await rejects(refused, (error: TroupeError) => {
      assert.equal(error.detail, { users: 2 });
      return code('network/in-use', /in use by two/)(error);
    });
    await rejects(a.mesh.ask('b', to, null, options), code('actor/crashed', /a bug/));
  }));

test('many asks at once are answered, each with its own', () =>
  inCluster(async (world) => {
    const [a] = [await world.start('a'), await world.start('b')];
    await a.mesh.ask('b', to, 'warm', options);
    const bodies = Array.from({ length: 2_000 }, (_, index) => index);
    const answers = await Promise.all(bodies.map((one) => a.mesh.ask('b', to, one, options)));
    assert.equal(
      answers.map(({ value }) => value),
      bodies.map((echo) => ({ echo })),
    );
  }));

test('when both dial at once one link stays, and nothing is lost', async () => {
  for (let round = 0; round < 10; round++) {
    await inCluster(async (world) => {
      const [a, b] = [await world.start('a'), await world.start('b')];
      const bodies = Array.from({ length: 50 }, (_, index) => index);
      const both = bodies.flatMap((one) => [
        a.mesh.ask('b', to, one, options),
        b.mesh.ask('a', to, one, options),
      ]);
      await Promise.all(both);
      await waitUntil('one link', () => a.mesh.linkCount === 1 && b.mesh.linkCount === 1);
      await a.mesh.ask('b', to, 'still', options);
      await b.mesh.ask('a', to, 'still', options);
    });
  }
});

test('a peer that is not there fails an ask at once, says why, and is found when it has come', () =>
  inCluster(async (world) => {
    const a = await world.start('a');
    await rejects(a.mesh.ask('b', to, 1, options), code('mesh/unreachable', /no such member/));
    const [probe] = [await world.start('b')];
    const port = probe.mesh.port;
    await probe.mesh.close();
    await waitUntil('the refusal of the connection', async () => {
      const failure = await a.mesh.ask('b', to, 1, options).catch((error: unknown) => error);
      return failure instanceof TroupeError && failure.message.includes('ECONNREFUSED');
    });
    assert.is(a.mesh.status()[0]?.state, 'unreachable');
    const begun = performance.now();
    await rejects(a.mesh.ask('b', to, 1, options), code('mesh/unreachable', /ECONNREFUSED/));
    assert.ok(performance.now() - begun < 1_000, 'without dialling again');
    await world.start('b', {}, port);
    await waitUntil('the peer is found', async () => {
      const answer = await a.mesh.ask('b', to, 1, options).catch(() => null);
      return answer !== null;
    });
  }));

test('asks under way to a peer that dies fail at once, and may have been carried out', () =>
  inCluster(async (world) => {
    const a = await world.start('a');
    const asked = Promise.withResolvers<void>();
    const b = await world.start('b', {
      handle: () => {
        asked.resolve();
        return new Promise(() => {});
      },
    });
    const waiting = rejects(
      a.mesh.ask('b', to, 1, { ...options, timeoutMs: 60_000 }),
      (error: TroupeError) => {
        assert.is(error.detail['ambiguous'], true);
        return code('mesh/unreachable')(error);
      },
    );
    await asked.promise;
    b.mesh.abort();
    await waiting;
  }));

test('an ask that is not answered in time says so, and a late answer is dropped', () =>
  inCluster(async (world) => {
    const a = await world.start('a');
    const late = Promise.withResolvers<{ value: string; revision: number }>();
    await world.start('b', {
      handle: (_from, _to, body) =>
        body === 'slow' ? late.promise : Promise.resolve({ value: 'fast', revision: 0 }),
    });
    await a.mesh.ask('b', to, 'warm', options);
    await rejects(
      a.mesh.ask('b', to, 'slow', { ...options, timeoutMs: 50 }),
      code('actor/timeout'),
    );
    late.resolve({ value: 'late', revision: 1 });
    assert.is((await a.mesh.ask('b', to, 'again', options)).value, 'fast');
  }));

test('closing lets what is under way end', () =>
  inCluster(async (world) => {
    const a = await world.start('a');
    const slow = Promise.withResolvers<{ value: string; revision: number }>();
    const asked = Promise.withResolvers<void>();
    const b = await world.start('b', {
      handle: () => {
        asked.resolve();
        return slow.promise;
      },
    });
    const answer = a.mesh.ask('b', to, 1, options);
    await asked.promise;
    const closing = b.mesh.close();
    slow.resolve({ value: 'done', revision: 3 });
    assert.equal(await answer, { value: 'done', revision: 3 });
    await closing;
  }));

test('a peer of another cluster, of another name or of no common protocol is refused, with the reason', () =>
  inCluster(async (world) => {
    const a = await world.start('a');
    await world.start('b', { hello: { ...helloOf('b'), cluster: 'other' } });
    await rejects(a.mesh.ask('b', to, 1, options), code('mesh/unreachable', /refused: .*cluster/));
    await world.start('c', { hello: { ...helloOf('c'), protocolMin: 2, protocolMax: 2 } });
    await rejects(a.mesh.ask('c', to, 1, options), code('mesh/unreachable', /refused: protocols/));
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
    await rejects(a.mesh.ask('b', to, 1, options), code('mesh/unreachable'));
    await rejects(b.mesh.ask('a', to, 1, options), code('mesh/unreachable'));
    world.ports.set('c', b.mesh.port);
    const honest = await world.start('a');
    await rejects(
      honest.mesh.ask('c', to, 1, options),
      code('mesh/unreachable', /b answers there/),
    );
    assert.equal(b.heard, []);
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

test('an ask to a peer that says nothing ends by its deadline, and closing gives the dialling up', async () => {
  let held = 0;
  const silent = createServer((socket) => {
    held++;
    socket.on('error', () => undefined);
    socket.on('close', () => void held--);
    socket.resume();
  });
  silent.listen(0, '127.0.0.1');
  await once(silent, 'listening');
  await inCluster(async (world) => {
    const a = await world.start('a');
    const address = silent.address();
    world.ports.set('b', typeof address === 'object' && address !== null ? address.port : 0);
    const asking = a.mesh.ask('b', to, 1, { ...options, timeoutMs: 100 });
    await rejects(asking, code('actor/timeout', /in time/));
    await waitUntil('the dialling', () => held === 1);
  });
  // Well before the handshake's own time is up.
  await waitUntil('the end of the dialling', () => held === 0, 2_000);
  silent.close();
});

test('what is not plain data, or too large, is refused before it is sent', () =>
  inCluster(async (world) => {
    const [a] = [await world.start('a'), await world.start('b')];
    await rejects(a.mesh.ask('b', to, new Map(), options), code('actor/bad-message', /Map/));
    const large = 'x'.repeat(2 * 1024 * 1024);
    await rejects(a.mesh.ask('b', to, large, options), code('mesh/too-large'));
    assert.is((await a.mesh.ask('b', to, 1, options)).revision, 7);
  }));

test('more than can be under way is refused, and works again afterwards', () =>
  inCluster(async (world) => {
    const a = await world.start('a');
    const gate = Promise.withResolvers<void>();
    await world.start('b', {
      handle: () => gate.promise.then(() => ({ value: null, revision: 0 })),
    });
    const first = a.mesh.ask('b', to, 0, options);
    await waitUntil(
      'the link',
      () => a.mesh.linkCount === 1 && a.mesh.status()[0]?.state === 'open',
    );
    const outcomes = Array.from({ length: 5_000 }, () =>
      a.mesh.ask('b', to, 0, options).then(
        () => 'answered',
        (error: unknown) => (error as TroupeError).code,
      ),
    );
    setImmediate(() => gate.resolve());
    const codes = await Promise.all(outcomes);
    await first;
    assert.ok(codes.includes('mesh/overloaded'));
    assert.is(codes.filter((one) => one === 'answered').length, 4_095);
    await a.mesh.ask('b', to, 0, options);
  }));

test('an address that makes no URL is a peer out of reach, each time', () =>
  inCluster(async (world) => {
    const a = await world.start('a', { addressOf: () => ({ host: 'no host', port: 1 }) });
    for (let round = 0; round < 2; round++) {
      const asking = a.mesh.ask('b', to, 1, options);
      await rejects(asking, code('mesh/unreachable', /no host:1 cannot be dialled/));
    }
  }));

test('a restarted peer is found again, and its old link is gone', () =>
  inCluster(async (world) => {
    const [a, b] = [await world.start('a'), await world.start('b')];
    await a.mesh.ask('b', to, 1, options);
    const { port } = b.mesh;
    b.mesh.abort();
    await b.mesh.close();
    const fresh = await world.start('b', {}, port);
    await fresh.mesh.ask('a', to, 'from the new one', options);
    await a.mesh.ask('b', to, 'to the new one', options);
    assert.equal(
      fresh.heard.map(({ body }) => body),
      ['to the new one'],
    );
    await waitUntil('one link', () => a.mesh.linkCount === 1);
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

test('a closed mesh leaves nothing that keeps its process alive', () => {
  const child = new URL('../../support/mesh-close.child.ts', import.meta.url).pathname;
  const { status, stdout, stderr } = spawnSync(process.execPath, [child], {
    encoding: 'utf8',
    timeout: 20_000,
  });
  assert.is(status, 0, stderr);
  assert.equal(JSON.parse(stdout), { answer: 'hello', resources: [] });
});

test.run();
