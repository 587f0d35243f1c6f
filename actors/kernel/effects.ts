// Keeps what runs equal to what the state wants (K2, K3).
//
// E1  At most one run per effect name, and lane if it has any, at a time. A run whose key is no longer wanted is called off, and
//     the next key starts when that run has ended; several wanted keys of one name run one by one.
// E2  A pair (name, key) that has succeeded is not run again by this activation. One that failed is not
//     either, until the state has stopped wanting it in between.
// E3  After close() nothing starts; `ended` resolves when the last run is over.
import { EffectRun, type EffectHost } from './effect-run.ts';
import type { Environment } from './environment.ts';
import type { EffectInspection } from './inspection.ts';
import type { Kind, Message } from './kind.ts';
import type { Performers } from './ports.ts';

/** Keys remembered as done per effect beyond those still wanted. They are mostly generations. */
const REMEMBERED = 64;

/** Of an effect, or of one lane of it. */
interface Slot<S, M extends Message, E extends string> {
  readonly name: E;
  /** Key -> trace of the turn that first wanted it. */
  readonly wanted: Map<string, string>;
  readonly succeeded: Set<string>;
  readonly failed: Set<string>;
  active: EffectRun<S, M> | null;
  /** The last run whose end has been noted in succeeded or failed. */
  noted: EffectRun<S, M> | null;
}

export class EffectRunner<S, M extends Message, E extends string> {
  readonly #kind: Kind<S, M, E>;
  readonly #performers: Performers<S, M, E>;
  readonly #host: EffectHost<S, M>;
  readonly #env: Environment;
  /** Most actors of a daemon are idle, and want nothing: null until the first effect. */
  #slots: Map<string, Slot<S, M, E>> | null = null;
  /** Called when a run has ended, and no effect is wanted or running any more. */
  onRest: () => void = () => {};
  #isClosed = false;

  constructor(
    kind: Kind<S, M, E>,
    performers: Performers<S, M, E>,
    host: EffectHost<S, M>,
    env: Environment,
  ) {
    this.#kind = kind;
    this.#performers = performers;
    this.#host = host;
    this.#env = env;
  }

  /** True when the state wants no effect and none is still ending. */
  get isEmpty(): boolean {
    for (const { wanted, active } of this.#slots?.values() ?? [])
      if (wanted.size > 0 || active !== null) return false;
    return true;
  }

  /** Starts what is new and calls off what is gone. Throws what kind.effects() throws. */
  reconcile(state: S, trace: string): void {
    if (this.#isClosed) return;
    const wanted = this.#kind.effects(state);
    if (wanted.length === 0 && this.#slots === null) return;
    const slots = (this.#slots ??= new Map());
    const keysBySlot = new Map<string, Set<string>>();
    for (const { name, key, lane } of wanted) {
      const id = lane === undefined ? name : `${name} ${lane}`;
      keysBySlot.set(id, (keysBySlot.get(id) ?? new Set()).add(key));
      if (!slots.has(id)) slots.set(id, slot(name));
    }
    for (const [id, current] of slots) {
      want(current, keysBySlot.get(id) ?? new Set(), trace);
      this.#pump(current);
    }
  }

  /** Looks for what may start now that an outcome has been taken in. */
  pump(): void {
    for (const current of this.#slots?.values() ?? []) this.#pump(current);
  }

  /** Calls everything off and starts nothing any more. Resolves when all runs have ended. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const runs = [...(this.#slots?.values() ?? [])].flatMap(({ active }) => active ?? []);
    for (const run of runs) run.callOff();
    await Promise.all(runs.map((run) => run.ended));
  }

  inspect(): readonly EffectInspection[] {
    return [...(this.#slots?.values() ?? [])].flatMap(inspectSlot);
  }

  #pump(current: Slot<S, M, E>): void {
    const { name } = current;
    if (current.active !== null) note(current, current.active);
    if (this.#isClosed || current.active !== null) return;
    for (const [key, trace] of current.wanted) {
      if (current.succeeded.has(key) || current.failed.has(key)) continue;
      const policy = this.#kind.policies[name];
      const perform = this.#performers[name];
      const run = new EffectRun({ name, key, trace, policy, perform }, this.#host, this.#env);
      current.active = run;
      void run.ended.then(() => {
        note(current, run);
        current.active = null;
        this.#pump(current);
        if (!this.#isClosed && this.isEmpty) this.onRest();
      });
      return;
    }
  }
}

function slot<S, M extends Message, E extends string>(name: E): Slot<S, M, E> {
  const none = { active: null, noted: null };
  return { name, wanted: new Map(), succeeded: new Set(), failed: new Set(), ...none };
}

function want<S, M extends Message, E extends string>(
  current: Slot<S, M, E>,
  keys: ReadonlySet<string>,
  trace: string,
): void {
  const { wanted, failed, active } = current;
  if (active !== null) note(current, active);
  for (const key of wanted.keys()) if (!keys.has(key)) wanted.delete(key);
  for (const key of failed) if (!keys.has(key)) failed.delete(key);
  for (const key of keys) if (!wanted.has(key)) wanted.set(key, trace);
  if (active !== null && !keys.has(active.spec.key)) active.callOff();
}

/** Once per run: a key that is wanted again after its failure must not be marked a second time. */
function note<S, M extends Message, E extends string>(
  current: Slot<S, M, E>,
  run: EffectRun<S, M>,
): void {
  const { key } = run.spec;
  if (run.end === null || run === current.noted) return;
  current.noted = run;
  if (run.end === 'failed' && current.wanted.has(key)) current.failed.add(key);
  if (run.end !== 'succeeded') return;
  current.succeeded.add(key);
  if (current.succeeded.size <= REMEMBERED + current.wanted.size) return;
  const oldest = current.succeeded.values().find((old) => !current.wanted.has(old));
  if (oldest !== undefined) current.succeeded.delete(oldest);
}

function inspectSlot<S, M extends Message, E extends string>(
  current: Slot<S, M, E>,
): readonly EffectInspection[] {
  const { name, active } = current;
  const others = [...current.wanted].filter(([key]) => key !== active?.spec.key);
  const rows = others.map(([key, trace]): EffectInspection => {
    const phase = current.succeeded.has(key)
      ? 'done'
      : current.failed.has(key)
        ? 'failed'
        : 'queued';
    const never = { attempt: 0, startedAtMs: null, nextAttemptAtMs: null, lastError: null };
    return { name, key, trace, phase, ...never };
  });
  return active === null ? rows : [active.inspect(), ...rows];
}
