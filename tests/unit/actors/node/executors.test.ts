// Executors: what is wanted last, by whom it may be wanted, is what is converged on, once at a time.
import { rejects } from 'node:assert/strict';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { TroupeError, type ErrorCode } from '../../../../actors/kernel/errors.ts';
import type { Json } from '../../../../actors/kernel/json.ts';
import { Executors, type Converger } from '../../../../actors/node/executors.ts';
import type { WantedBy } from '../../../../actors/network/ports.ts';
import { Ledger } from '../../../../src/drivers/ledger.ts';
import { keptLog, settle } from '../../../support/kernel.ts';

const test = suite('executors');

const ADDRESS = { kind: 'executor', id: 'n1/segment/net' };
const withCode = (code: ErrorCode) => (error: unknown) =>
  error instanceof TroupeError && error.code === code;

interface Call {
  readonly what: string;
  readonly by: WantedBy;
  readonly end: (error?: Error) => void;
}

/** A machine whose acts end when the test says so, or when they are called off. */
function makeExecutors(ledger = new Ledger(':memory:')) {
  const calls: Call[] = [];
  let running = 0;
  const act = (what: string, by: WantedBy) => {
    assert.is(++running, 1, 'two hands on one thing');
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    calls.push({ what, by, end: (error) => (error === undefined ? resolve() : reject(error)) });
    by.signal.addEventListener('abort', () => reject(new TroupeError('actor/stopped', 'off')));
    return promise.finally(() => running--);
  };
  const converger = (ownerKind: string): Converger => ({
    ownerKind,
    ensure: (_id, spec, by) => act(`ensure ${String(spec)}`, by).then((): Json => String(spec)),
    remove: (_id, by) => act('remove', by),
  });
  const executors = new Executors({
    node: 'n1',
    log: keptLog().log,
    fencing: ledger,
    convergers: {
      segment: converger('network'),
      domain: converger('instance'),
      replica: converger('blob'),
    },
  });
  const want = (generation: number, spec: unknown, epoch = 1) => {
    const message = { kind: 'want', owner: 'network/net', epoch, generation, spec };
    const done = executors.handle(ADDRESS, message, 'trace');
    done.catch(() => {});
    return done;
  };
  return { executors, want, calls, ledger };
}

test('a want is converged on and answered with the report', async () => {
  const { want, calls, executors } = makeExecutors();
  const done = want(1, 'a');
  await settle();
  assert.is(executors.inspect()[0]?.isConverging, true);
  calls[0]?.end();
  assert.is(await done, 'a');
  assert.is(calls[0]?.by.trace, 'trace');
  const [lane] = executors.inspect();
  assert.equal([lane?.isConverging, lane?.isWanted, lane?.generation], [false, true, 1]);
  assert.is(executors.generationOf('segment', 'net'), 1);
});

// Its owner may run on a daemon that lives on, and does not say it again: what happened to a domain after its machine's
// daemon had been restarted was told to nobody.
test('the generation last wanted is known to the next daemon on the machine', async () => {
  const { want, calls, ledger } = makeExecutors();
  const done = want(5, 'a');
  await settle();
  calls[0]?.end();
  await done;
  const { executors } = makeExecutors(ledger);
  assert.is(executors.generationOf('segment', 'net'), 5);
  assert.is(executors.generationOf('segment', 'other'), undefined);
});

test('an older generation or epoch is refused, also by the next daemon on the machine', async () => {
  const { want, calls, ledger } = makeExecutors();
  const done = want(5, 'a', 7);
  await settle();
  calls[0]?.end();
  await done;
  await rejects(want(4, 'b', 7), withCode('executor/stale-epoch'));
  await rejects(want(9, 'b', 6), withCode('executor/stale-epoch'));
  const next = makeExecutors(ledger);
  await rejects(next.want(4, 'b', 7), withCode('executor/stale-epoch'));
  const accepted = next.want(1, 'b', 8);
  await settle();
  next.calls[0]?.end();
  assert.is(await accepted, 'b');
});

test('a newer want calls the older one off and waits until it has ended', async () => {
  const { want, calls } = makeExecutors();
  const first = want(1, 'a');
  await settle();
  const second = want(2, 'b');
  await rejects(first, withCode('actor/stopped'));
  await settle();
  assert.equal(
    calls.map(({ what }) => what),
    ['ensure a', 'ensure b'],
  );
  calls[1]?.end();
  assert.is(await second, 'b');
});

test('of several that wait only the newest is carried out', async () => {
  const { want, calls } = makeExecutors();
  const outcomes = [want(1, 'a'), want(2, 'b'), want(3, 'c'), want(4, null)];
  await settle();
  assert.is(calls.at(-1)?.what, 'remove');
  assert.ok(calls.length <= 2, 'b and c were never begun');
  calls.at(-1)?.end();
  const ended = await Promise.allSettled(outcomes);
  assert.equal(
    ended.map(({ status }) => status),
    ['rejected', 'rejected', 'rejected', 'fulfilled'],
  );
});

test('the same want again waits for what is under way', async () => {
  const { want, calls } = makeExecutors();
  const first = want(1, 'a');
  await settle();
  const again = want(1, 'a');
  await settle();
  assert.is(calls.length, 1);
  calls[0]?.end();
  assert.equal(await Promise.all([first, again]), ['a', 'a']);
});

test('the same generation with another wish, or under a new epoch, begins anew', async () => {
  const { want, calls } = makeExecutors();
  const first = want(1, 'a');
  await settle();
  const other = want(1, null);
  await settle();
  const newer = want(1, null, 2);
  await settle();
  calls.at(-1)?.end();
  await rejects(first);
  await rejects(other);
  assert.is(await newer, null);
  assert.equal(
    calls.map(({ what }) => what),
    ['ensure a', 'remove', 'remove'],
  );
});

test("a failure is its asker's, stays to be read, and the next try begins anew", async () => {
  const { want, calls, executors } = makeExecutors();
  const first = want(1, 'a');
  await settle();
  calls[0]?.end(new TroupeError('host/tool-failed', 'no'));
  await rejects(first, withCode('host/tool-failed'));
  assert.is(executors.inspect()[0]?.lastError, 'no');
  const again = want(1, 'a');
  await settle();
  calls[1]?.end();
  assert.is(await again, 'a');
  assert.is(executors.inspect()[0]?.lastError, null);
});

test('only its own actor may want a thing, on this machine, of a known sort', async () => {
  const { executors } = makeExecutors();
  const wish = { kind: 'want', owner: 'network/net', epoch: 1, generation: 1, spec: 'a' };
  const rows: readonly (readonly [string, object, ErrorCode])[] = [
    ['n2/segment/net', wish, 'executor/unknown-resource'],
    ['n1/rocket/net', wish, 'executor/unknown-resource'],
    ['n1/__proto__/net', wish, 'executor/unknown-resource'],
    ['n1/segment/', wish, 'executor/unknown-resource'],
    ['n1/segment', wish, 'executor/unknown-resource'],
    ['n1/segment/other', wish, 'actor/bad-message'],
    ['n1/domain/net', wish, 'actor/bad-message'],
    ['n1/segment/net', { ...wish, owner: 'instance/net' }, 'actor/bad-message'],
    ['n1/segment/net', { ...wish, owner: 'net' }, 'actor/bad-message'],
    ['n1/segment/net', { ...wish, epoch: 'x' }, 'actor/bad-message'],
    ['n1/segment/net', { ...wish, kind: 'destroy' }, 'actor/bad-message'],
  ];
  for (const [id, message, code] of rows)
    await rejects(executors.handle({ kind: 'executor', id }, message, 't'), withCode(code), id);
  assert.equal(executors.inspect(), []);
});

test('a wish of a newer daemon, which says more, is taken', async () => {
  const { executors } = makeExecutors();
  const wish = { kind: 'want', owner: 'network/net', epoch: 1, generation: 1, spec: 'a' };
  void executors.handle({ kind: 'executor', id: 'n1/segment/net' }, { ...wish, extra: 1 }, 't');
  assert.is(executors.isWanted('network/net'), true);
});

test('what no actor has spoken of since the start is neither wanted nor unwanted', async () => {
  const { executors, want } = makeExecutors();
  assert.is(executors.isWanted('network/net'), undefined);
  void want(1, 'a');
  assert.is(executors.isWanted('network/net'), true);
  void want(2, null);
  assert.is(executors.isWanted('network/net'), false);
  assert.is(executors.isWanted('network/other'), undefined);
});

test('stop calls off what runs, waits for it, begins nothing that waits, and refuses what comes', async () => {
  const { executors, want, calls } = makeExecutors();
  const [first, second] = [want(1, 'a'), want(2, 'b')];
  await executors.stop();
  await rejects(first);
  await rejects(second);
  assert.ok(calls.every(({ what }) => what === 'ensure a'));
  await rejects(want(3, 'c'), withCode('actor/stopped'));
});

test.run();
