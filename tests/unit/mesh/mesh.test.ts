// Daemons that ask each other over real sockets on loopback.
import { rejects } from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import { waitUntil } from '../../support/wait.ts';
import { failure, meshLab } from '../../support/mesh-lab.ts';

const test = suite('mesh');
const lab = meshLab();
const { inCluster } = lab;
const to = { kind: 'instance', id: 'one' };
const options = { trace: 'trace-1', timeoutMs: 10_000 };

test.after(() => lab.close());

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
      return failure('network/in-use', /in use by two/)(error);
    });
    await rejects(a.mesh.ask('b', to, null, options), failure('actor/crashed', /a bug/));
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
    await rejects(a.mesh.ask('b', to, 1, options), failure('mesh/unreachable', /no such member/));
    const [probe] = [await world.start('b')];
    const port = probe.mesh.port;
    await probe.mesh.close();
    await waitUntil('the refusal of the connection', async () => {
      const failure = await a.mesh.ask('b', to, 1, options).catch((error: unknown) => error);
      return failure instanceof TroupeError && failure.message.includes('ECONNREFUSED');
    });
    assert.is(a.mesh.status()[0]?.state, 'unreachable');
    const begun = performance.now();
    await rejects(a.mesh.ask('b', to, 1, options), failure('mesh/unreachable', /ECONNREFUSED/));
    assert.ok(performance.now() - begun < 4_000, 'without dialling again');
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
        return failure('mesh/unreachable')(error);
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
      failure('actor/timeout'),
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
    await rejects(asking, failure('actor/timeout', /in time/));
    await waitUntil('the dialling', () => held === 1);
  });
  // Well before the handshake's own time is up.
  await waitUntil('the end of the dialling', () => held === 0, 2_000);
  silent.close();
});

test('what is not plain data, or too large, is refused before it is sent', () =>
  inCluster(async (world) => {
    const [a] = [await world.start('a'), await world.start('b')];
    await rejects(a.mesh.ask('b', to, new Map(), options), failure('actor/bad-message', /Map/));
    const large = 'x'.repeat(2 * 1024 * 1024);
    await rejects(a.mesh.ask('b', to, large, options), failure('mesh/too-large'));
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
      await rejects(asking, failure('mesh/unreachable', /no host:1 cannot be dialled/));
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

test('a closed mesh leaves nothing that keeps its process alive', () => {
  const child = new URL('../../support/mesh-close.child.ts', import.meta.url).pathname;
  const { status, stdout, stderr } = spawnSync(process.execPath, [child], {
    encoding: 'utf8',
    timeout: 20_000,
  });
  assert.is(status, 0, stderr);
  assert.equal(JSON.parse(stdout), { answer: { echo: 'hello' }, resources: [] });
});

test.run();
