// A runtime of actors that only count.
import { systemClock } from '../../actors/kernel/clock.ts';
import { defineKind, next } from '../../actors/kernel/kind.ts';
import { Runtime } from '../../actors/kernel/runtime.ts';

/** All that a benchmark sends may wait. */
const MAILBOX = 200_000;

interface Counter {
  readonly count: number;
}

/** The smallest kind there is: a message counts, outside of the state so that nothing is written. */
export function counterRuntime(onMessage: () => void): Runtime {
  const runtime = new Runtime({
    node: 'bench',
    clock: systemClock,
    random: { number: Math.random, uuid: () => crypto.randomUUID() },
    journal: {
      load: () => Promise.resolve({ snapshot: { schema: 1, state: { count: 0 } }, revision: 1 }),
      commit: () => Promise.resolve(1),
    },
    ownership: { epochOf: () => 1 },
    log: () => {},
    limits: { mailbox: MAILBOX },
  });
  const kind = defineKind<Counter, { readonly kind: 'count' }, never>({
    kind: 'counter',
    placement: 'sharded',
    initial: { count: 0 },
    decodeMessage: (value) => value as { readonly kind: 'count' },
    transition: (state) => {
      onMessage();
      return next(state);
    },
    effects: () => [],
    policies: {},
    passing: () => null,
    timer: () => null,
    index: () => null,
    onCrash: () => 'park',
    parked: (state) => state,
    snapshot: { schema: 1, decode: (value) => value as Counter, migrations: {} },
  });
  runtime.register(kind, {});
  return runtime;
}
