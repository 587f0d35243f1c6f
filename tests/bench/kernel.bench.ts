// Local messages and idle actors, against bare nact in the same run.
import { dispatch, query, spawn, start, stop, type Ref } from 'nact';
import type { Runtime } from '../../actors/kernel/runtime.ts';
import { counterRuntime } from './counter.ts';
import { heapUsed } from './memory.ts';
import type { Report } from './row.ts';

const MESSAGES = 100_000;
const IN_FLIGHT = 64;
const ACTORS = 10_000;
const ROUNDS = 3;
const trace = { trace: 'bench' };

/** Calls per second of `send`, which is called `count` times and is done when `done` resolves. */
async function rate(count: number, run: () => Promise<void>): Promise<number> {
  const startedAt = performance.now();
  await run();
  return count / ((performance.now() - startedAt) / 1_000);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/** Both sides in turn, so that a noisy neighbour hits both; the median of each. */
async function compare(ours: () => Promise<number>, floor: () => Promise<number>) {
  const rows: { readonly ours: number; readonly floor: number }[] = [];
  for (let round = 0; round < ROUNDS; round++)
    rows.push({ floor: await floor(), ours: await ours() });
  return { ours: median(rows.map((row) => row.ours)), floor: median(rows.map((row) => row.floor)) };
}

/** `send` with IN_FLIGHT of them waiting at any time. */
async function inFlight(send: () => Promise<unknown>): Promise<void> {
  let left = MESSAGES;
  const worker = async () => {
    while (left-- > 0) await send();
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
}

async function benchTells(report: Report): Promise<void> {
  let seen = 0;
  let done = () => {};
  const count = () => {
    if (++seen === MESSAGES) done();
  };
  const counted = (send: () => void) =>
    rate(MESSAGES, () => {
      seen = 0;
      const { promise, resolve } = Promise.withResolvers<void>();
      done = resolve;
      for (let sent = 0; sent < MESSAGES; sent++) send();
      return promise;
    });
  const runtime = counterRuntime(count);
  const system = start();
  const bare = spawn(system, (_state: null, _message: { readonly kind: 'count' }) => {
    count();
    return null;
  });
  const to = { kind: 'counter', id: 'a' };
  const result = await compare(
    () => counted(() => runtime.tell(to, { kind: 'count' }, trace)),
    () => counted(() => dispatch(bare, { kind: 'count' })),
  );
  report({ name: 'local tell', ...result, unit: 'messages/s' });
  await runtime.stop();
  stop(system);
}

async function benchAsks(report: Report): Promise<void> {
  const runtime = counterRuntime(() => {});
  const system = start();
  const bare = spawn(system, (_state: null, { asker }: { readonly asker: Ref<number> }) => {
    dispatch(asker, 1);
    return null;
  });
  const to = { kind: 'counter', id: 'a' };
  const result = await compare(
    () => rate(MESSAGES, () => inFlight(() => runtime.ask(to, { kind: 'count' }, trace))),
    () =>
      rate(MESSAGES, () =>
        inFlight(() => query(bare, (asker: Ref<number>) => ({ asker }), 10_000)),
      ),
  );
  report({ name: `local ask, ${IN_FLIGHT} in flight`, ...result, unit: 'asks/s' });
  await runtime.stop();
  stop(system);
}

/** Heap bytes per actor that `make` leaves behind. */
async function bytesEach(make: () => Promise<unknown>): Promise<number> {
  const before = heapUsed();
  const kept = await make();
  const bytes = (heapUsed() - before) / ACTORS;
  void kept;
  return bytes;
}

type Asked = { readonly asker: Ref<number> };

function answer(_state: null, { asker }: Asked): null {
  dispatch(asker, 1);
  return null;
}

async function benchActors(report: Report): Promise<void> {
  const system = start();
  const runtime = counterRuntime(() => {});
  const ids = Array.from({ length: ACTORS }, (_, at) => String(at));
  const bare: Ref<Asked>[] = [];
  let startedAt = performance.now();
  const floor = await bytesEach(async () => {
    bare.push(...ids.map((id) => spawn(system, answer, id)));
    await Promise.all(bare.map((ref) => query(ref, (asker: Ref<number>) => ({ asker }), 10_000)));
  });
  const floorMs = performance.now() - startedAt;
  startedAt = performance.now();
  const ours = await bytesEach(async () => {
    const asks = ids.map((id) => runtime.ask({ kind: 'counter', id }, { kind: 'count' }, trace));
    await Promise.all(asks);
  });
  const oursMs = performance.now() - startedAt;
  report({ name: 'memory per idle actor', ours, floor, unit: 'bytes' });
  report({
    name: `start of ${ACTORS} actors, each asked once`,
    ours: ACTORS / (oursMs / 1_000),
    floor: ACTORS / (floorMs / 1_000),
    unit: 'actors/s',
  });
  await benchMany({ runtime, bare, ids }, report);
  await runtime.stop();
  stop(system);
}

interface Many {
  readonly runtime: Runtime;
  readonly bare: readonly Ref<Asked>[];
  readonly ids: readonly string[];
}

/** Asks spread over all actors: what a flat system must not make slower. */
async function benchMany({ runtime, bare, ids }: Many, report: Report): Promise<void> {
  let at = 0;
  const ours = () => {
    const id = ids[at++ % ids.length] ?? '';
    return runtime.ask({ kind: 'counter', id }, { kind: 'count' }, trace);
  };
  const floor = () => {
    const ref = bare[at++ % bare.length];
    if (ref === undefined) throw new Error('no actors');
    return query(ref, (asker: Ref<number>) => ({ asker }), 10_000);
  };
  const result = await compare(
    () => rate(MESSAGES, () => inFlight(ours)),
    () => rate(MESSAGES, () => inFlight(floor)),
  );
  report({ name: `local ask over ${ACTORS} actors`, ...result, unit: 'asks/s' });
}

/** Reports one row per figure; a few seconds in all. */
export async function bench(report: Report): Promise<void> {
  await benchTells(report);
  await benchAsks(report);
  await benchActors(report);
}
