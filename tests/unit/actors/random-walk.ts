// Feeds a kind random messages, in any order, repeated and late, and checks after each what must hold of
// every kind. Seeded: a failing seed and step are named, and replay.
import { isDeepStrictEqual } from 'node:util';
import * as assert from 'uvu/assert';
import { plainEqual } from '../../../actors/kernel/equal.ts';
import type { ErrorCode } from '../../../actors/kernel/errors.ts';
import type { Kind, KernelMessage, Message, Step, Wanted } from '../../../actors/kernel/kind.ts';
import { seededRandom } from '../../support/kernel.ts';

export interface Walk<S extends { readonly phase: string }, M extends Message, E extends string> {
  readonly kind: Kind<S, M, E>;
  readonly phases: Readonly<Record<S['phase'], readonly S['phase'][]>>;
  /** The actor's own id in this walk. */
  readonly id?: string;
  /** Phases in which the object waits for nothing, and may want no effect. */
  readonly rest: readonly S['phase'][];
  /** A random message. */
  readonly message: (pick: Pick, state: S) => M;
  /** Messages that mean something each time: one more, not the same again. */
  readonly counting?: readonly string[];
  /** What must also hold. */
  readonly check?: (state: S) => void;
}

/** One of the values, by a seeded random number. */
export type Pick = <T>(...values: readonly T[]) => T;

/** Mostly none: a walk in which everything is late gets nowhere. */
const PAUSES_MS = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1_000, 30_000, 120_000, 2_000_000, 4_000_000];

/** Throws, naming seed and step, when anything does not hold. */
export function walk<S extends { readonly phase: string }, M extends Message, E extends string>(
  subject: Walk<S, M, E>,
  size: { readonly seeds: number; readonly steps: number },
): Set<string> {
  const moves = new Set<string>();
  for (let seed = 1; seed <= size.seeds; seed++) {
    const walker = new Walker(subject, seed, moves);
    for (let step = 1; step <= size.steps; step++) walker.step(`seed ${seed} step ${step}`);
  }
  return moves;
}

class Walker<S extends { readonly phase: string }, M extends Message, E extends string> {
  readonly #subject: Walk<S, M, E>;
  readonly #random: () => number;
  readonly #moves: Set<string>;
  #state: S;
  #now = 1_000_000;

  constructor(subject: Walk<S, M, E>, seed: number, moves: Set<string>) {
    this.#subject = subject;
    const random = seededRandom(seed);
    this.#random = () => random.number();
    this.#moves = moves;
    this.#state = subject.kind.initial;
  }

  step(where: string): void {
    const { kind } = this.#subject;
    this.#now += this.#pick(...PAUSES_MS);
    // Lives are what is interesting, not the hour after them.
    if (this.#state.phase === 'deleted' && this.#random() < 0.1) this.#state = kind.initial;
    if (this.#state.phase !== 'none' && this.#random() < 0.03) {
      return this.#take(kind.parked(this.#state, 'crashed: a bug', this.#now), `${where}: parked`);
    }
    const message = this.#message();
    const named = `${where}: ${this.#state.phase} + ${JSON.stringify(message)}`;
    const before = structuredClone(this.#state);
    const step = this.#transition(message, named);
    assert.ok(isDeepStrictEqual(this.#state, before), `${named}: changes the state it was given`);
    if (step.refusal !== null) {
      assert.is(step.state, this.#state, `${named}: refused, yet changed`);
      assert.ok(/\S+ \S+/.test(step.refusal.reason), `${named}: ${step.refusal.reason}`);
      return;
    }
    if (step.state === null) {
      assert.is(this.#state.phase, 'deleted', `${named}: forgotten while it is there`);
      this.#state = kind.initial;
      return;
    }
    this.#take(step.state, named);
    this.#repeat(message, named);
  }

  #repeat(message: M | KernelMessage, where: string): void {
    if (this.#subject.counting?.includes(message.kind)) return;
    const again = this.#transition(message, `${where}, again`);
    const isSame = again.refusal !== null || plainEqual(again.state, this.#state);
    assert.ok(isSame, `${where}: changes more when repeated: ${JSON.stringify(again.state)}`);
    assert.equal(again.events, [], `${where}: records more when repeated`);
  }

  #take(state: S, where: string): void {
    const { kind, phases, rest, check } = this.#subject;
    const from: S['phase'] = this.#state.phase;
    if (state.phase !== from) {
      this.#moves.add(`${from} ${state.phase}`);
      const allowed: readonly string[] = phases[from];
      assert.ok(allowed.includes(state.phase), `${where}: ${from} to ${state.phase}`);
    }
    kind.snapshot.decode(state);
    const stored: unknown = JSON.parse(JSON.stringify(state));
    assert.ok(plainEqual(stored, state), `${where}: is not plain data`);
    const wanted = kind.effects(state);
    const names = wanted.map(({ name, key }) => `${name} ${key}`);
    assert.is(new Set(names).size, names.length, `${where}: wants twice: ${names.join()}`);
    const passing = kind.passing(state);
    const isResting = rest.includes(state.phase);
    const isAlive = wanted.length > 0 || kind.timer(state) !== null;
    assert.ok(isAlive || isResting, `${where}: nothing goes on in ${state.phase}`);
    assert.ok(passing !== null || isResting, `${where}: ${state.phase} has no deadline`);
    if (passing !== null) {
      const { deadlineAtMs, cancel } = passing;
      assert.ok(deadlineAtMs === null || deadlineAtMs > passing.sinceMs, where);
      assert.ok(passing.reason.length > 5, `${where}: ${passing.reason}`);
      if (cancel !== null) kind.decodeMessage(cancel);
    }
    check?.(state);
    this.#state = state;
  }

  #transition(message: M | KernelMessage, where: string): Step<S> {
    const turn = { id: this.#subject.id ?? 'self', now: this.#now, random: this.#random };
    try {
      return this.#subject.kind.transition(this.#state, message, turn);
    } catch (error) {
      throw new Error(`${where}: throws`, { cause: error });
    }
  }

  #message(): M | KernelMessage {
    const { kind, message } = this.#subject;
    const dice = this.#random();
    if (dice < 0.05) return { kind: 'time-reached', atMs: this.#now };
    if (dice < 0.12) {
      const wanted = kind.effects(this.#state);
      const effect = this.#pick<Wanted<string>>(...wanted, { name: 'an-old-effect', key: '0' });
      const code = this.#pick<ErrorCode>('host/tool-failed', 'actor/crashed', 'object/deadline');
      return {
        kind: 'effect-failed',
        effect: effect.name,
        key: effect.key,
        code,
        reason: 'a fault',
      };
    }
    const made = message((...values) => this.#pick(...values), this.#state);
    kind.decodeMessage(made);
    return made;
  }

  #pick<T>(...values: readonly T[]): T {
    const picked = values[Math.floor(this.#random() * values.length)];
    if (picked === undefined) throw new Error('nothing to pick from');
    return picked;
  }
}

/** All the moves of a table, as walk() returns them: to see that a walk has been everywhere. */
export function movesOf(phases: Readonly<Record<string, readonly string[]>>): Set<string> {
  return new Set(Object.entries(phases).flatMap(([from, to]) => to.map((one) => `${from} ${one}`)));
}

/** A driver of transitions for tests by table. */
export function stepper<S, M extends Message, E extends string>(kind: Kind<S, M, E>, id = 'self') {
  let now = 1_000_000;
  let state = kind.initial;
  const events: string[] = [];
  return {
    get state(): S {
      return state;
    },
    get effects(): string[] {
      return kind.effects(state).map(({ name }) => name);
    },
    events,
    pass(ms: number) {
      now += ms;
      return this;
    },
    /** A message; throws what it was refused with. */
    send(message: M | KernelMessage) {
      const step = this.try(message);
      if (step.refusal !== null) throw new Error(`${step.refusal.code}: ${step.refusal.reason}`);
      return this;
    },
    try(message: M | KernelMessage): Step<S> {
      const step = kind.transition(state, message, { id, now, random: () => 0.5 });
      if (step.refusal === null && step.state !== null) state = step.state;
      events.push(...step.events.map((event) => event.message));
      return step;
    },
    /** The first effect wanted fails. */
    fail(
      code: 'host/tool-failed' | 'image/refused' | 'network/in-use' | 'mesh/unreachable',
      reason: string,
    ) {
      const [effect] = kind.effects(state);
      if (effect === undefined) throw new Error('no effect is wanted');
      const { name, key } = effect;
      return this.send({ kind: 'effect-failed', effect: name, key, code, reason });
    },
    time() {
      return this.send({ kind: 'time-reached', atMs: now });
    },
    park() {
      state = kind.parked(state, 'crashed: a bug', now);
      return this;
    },
  };
}
