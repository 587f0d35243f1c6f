// The actors of one daemon: made on demand, found by address, stopped together.
//
// X1  An address has one actor at most, and only while this daemon owns it.
// X2  ask() and tell() deliver here or refuse; they never route. Messages from the mesh and from local
//     actors come in through them alike.
// X3  What is read before an actor acts on it is not older than the actor's own writes: resume() leaves
//     out what has been active since its reading began.
import { PendingAsk } from './ask.ts';
import type { Clock } from './clock.ts';
import { LIMITS, type Boundary, type Environment, type Limits } from './environment.ts';
import { codeOf, TroupeError } from './errors.ts';
import { busyOf, type Busy, type Inspection, type Stuck } from './inspection.ts';
import { formatAddress, type Address, type Kind, type Message } from './kind.ts';
import type {
  AskReply,
  Journal,
  Loaded,
  Log,
  Ownership,
  Performers,
  Random,
  Router,
  SendOptions,
} from './ports.ts';
import type { Reply } from './mail.ts';
import { registration, type Registration } from './registration.ts';
import { localRouter } from './router.ts';
import { Stats, type EffectStats } from './stats.ts';
import type { SupervisedActor } from './supervisor.ts';
import { ActorSystem } from './system.ts';
import { Timers } from './timers.ts';
import { ulidFactory } from './ulid.ts';

export interface RuntimeOptions {
  /** The node's name; also on every event. */
  readonly node: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly journal: Journal;
  readonly ownership: Ownership;
  readonly log: Log;
  readonly limits?: Partial<Limits>;
  /** For crash tests: called, and awaited, at every boundary. */
  readonly onBoundary?: (point: Boundary) => void | Promise<void>;
  /** A kind's supervision has decided to stop the daemon. */
  readonly onFatal?: (error: unknown, address: Address) => void;
}

export interface RuntimeStats {
  readonly actors: number;
  readonly turns: number;
  readonly writes: number;
  readonly refusals: number;
  readonly crashes: number;
  readonly restarts: number;
  readonly parks: number;
  readonly storeFailures: number;
  readonly mailbox: { readonly total: number; readonly deepest: number };
  /** Of those in memory, by kind: how many, and the messages that wait for them. */
  readonly kinds: Readonly<Record<string, { readonly actors: number; readonly waiting: number }>>;
  /** `kind message code` -> count. */
  readonly deadLetters: Readonly<Record<string, number>>;
  /** `kind/effect` -> counters. */
  readonly effects: Readonly<Record<string, EffectStats>>;
}

/** A snapshot to start from, as read by whoever took the shard. */
export interface ResumeEntry {
  readonly address: Address;
  readonly loaded: Loaded;
}

/** After this many actors a resume lets others run: 100,000 of them must not block the process. */
const RESUME_SLICE = 256;

export class Runtime {
  readonly timers: Timers;
  readonly #env: Environment;
  readonly #kinds = new Map<string, Registration>();
  readonly #actors = new Map<string, SupervisedActor>();
  /** Predicates of the stops under way. */
  readonly #draining = new Set<(address: Address) => boolean>();
  /** One set per resume under way: the addresses that have ceased to be active since it began. */
  readonly #departures = new Set<Set<string>>();
  readonly #onGone = (actor: SupervisedActor): void => {
    const key = formatAddress(actor.address);
    if (this.#actors.get(key) !== actor) return;
    this.#actors.delete(key);
    for (const departed of this.#departures) departed.add(key);
  };
  #router: Router;
  #isStopped = false;

  constructor(options: RuntimeOptions) {
    const { node, clock, random, journal, ownership, log } = options;
    const onBug = (error: unknown) => log('error', 'bug in the kernel', { error });
    this.timers = new Timers(clock, onBug);
    this.#router = localRouter(this, {});
    this.#env = {
      node,
      clock,
      random,
      journal,
      ownership,
      log,
      limits: { ...LIMITS, ...options.limits },
      timers: this.timers,
      system: new ActorSystem(node, random.uuid(), onBug),
      stats: new Stats(),
      eventId: ulidFactory(random),
      router: () => this.#router,
      onBoundary: options.onBoundary ?? null,
      onFatal: options.onFatal ?? ((error) => log('error', 'a crash stops the daemon', { error })),
    };
    this.#sweepLater();
  }

  /** Makes a kind known. Once per kind, before its first message. */
  register<S, M extends Message, E extends string>(
    kind: Kind<S, M, E>,
    performers: Performers<S, M, E>,
  ): void {
    if (this.#kinds.has(kind.kind)) throw new Error(`kind ${kind.kind} is registered already`);
    this.#kinds.set(kind.kind, registration(kind, performers, this.#env));
  }

  /** What effects send their messages through; until then only actors of this runtime are reached. */
  connect(router: Router): void {
    this.#router = router;
  }

  /**
   * Delivers a message to an actor that this daemon owns, and resolves after the turn's write. Rejects
   * with TroupeError: the refusal's code, `actor/*`, `store/*`, or `shard/not-owner`.
   */
  ask(to: Address, message: unknown, options: SendOptions): Promise<AskReply> {
    const timeoutMs = options.timeoutMs ?? this.#env.limits.askTimeoutMs;
    const ask = new PendingAsk(this.timers, timeoutMs, to);
    this.#deliver(to, message, options.trace, ask);
    return ask.promise;
  }

  /** As ask(), without an answer; what can't be delivered is counted as a dead letter. */
  tell(to: Address, message: unknown, options: { readonly trace: string }): void {
    this.#deliver(to, message, options.trace, null);
  }

  /** Makes an actor load its object and carry on, without a message. Throws as ask() rejects. */
  wake(address: Address, trace: string): void {
    this.#find(address).wake(trace);
  }

  /**
   * Starts the actors of a shard that have something to do: effects, a timer, a passing state. `read` is
   * called once and gives the snapshots; it must read them from the store, not from a copy (X3).
   * Resolves to how many were started.
   */
  async resume(read: () => Iterable<ResumeEntry> | AsyncIterable<ResumeEntry>): Promise<number> {
    const departed = new Set<string>();
    this.#departures.add(departed);
    let [seen, started] = [0, 0];
    try {
      for await (const entry of read()) {
        if (this.#isStopped) break;
        if (this.#resumeOne(entry, departed)) started++;
        if (++seen % RESUME_SLICE === 0) await new Promise((resolve) => setImmediate(resolve));
      }
    } finally {
      this.#departures.delete(departed);
    }
    return started;
  }

  /**
   * Stops the actors that match (all: and the runtime): the turn in hand is finished, effects are called
   * off and waited for, what waits is answered with `actor/stopped`. With `matches` what waits and what
   * comes meanwhile is refused with `shard/not-owner`; who drains a shard gives up its ownership right afterwards.
   */
  async stop(matches?: (address: Address) => boolean): Promise<void> {
    const isMatch = matches ?? (() => true);
    if (matches === undefined) this.#isStopped = true;
    this.#draining.add(isMatch);
    const actors = [...this.#actors.values()].filter(({ address }) => isMatch(address));
    const code = matches === undefined ? 'actor/stopped' : 'shard/not-owner';
    await Promise.all(actors.map((actor) => actor.stop(code)));
    this.#draining.delete(isMatch);
    if (matches !== undefined) return;
    await this.#env.system.stop();
    this.timers.close();
  }

  /**
   * As stop() does with those that match, for several groups at once: each resolves when its own actors have stopped, so
   * that who hands groups over need not wait for the slowest of all. `groupOf` null: it stays. Groups without actors are
   * not among them.
   */
  drain<G>(groupOf: (address: Address) => G | null): ReadonlyMap<G, Promise<unknown>> {
    const isMatch = (address: Address) => groupOf(address) !== null;
    this.#draining.add(isMatch);
    const stops = new Map<G, Promise<void>[]>();
    for (const actor of this.#actors.values()) {
      const group = groupOf(actor.address);
      if (group === null) continue;
      const all = stops.get(group) ?? [];
      stops.set(group, all);
      all.push(actor.stop('shard/not-owner'));
    }
    const groups = new Map([...stops].map(([group, all]) => [group, Promise.all(all)]));
    void Promise.all(groups.values()).then(() => this.#draining.delete(isMatch));
    return groups;
  }

  /** Null when the actor is not in memory: it has nothing to do. */
  inspect(address: Address): Inspection | null {
    return this.#actors.get(formatAddress(address))?.inspect() ?? null;
  }

  /** Live actors whose object is past the deadline of its passing state, or can't go on at all. */
  stuck(nowMs: number): readonly Stuck[] {
    return [...this.#actors.values()].flatMap((actor) => actor.stuck(nowMs) ?? []);
  }

  /** Those at work, or with messages that wait; at most so many. */
  busy(most: number): readonly Busy[] {
    const busy: Busy[] = [];
    for (const actor of this.#actors.values()) {
      if (busy.length >= most) break;
      const one = busyOf(actor.inspect());
      if (one !== null) busy.push(one);
    }
    return busy;
  }

  stats(): RuntimeStats {
    const { stats } = this.#env;
    const mailbox = { total: 0, deepest: 0 };
    const kinds: Record<string, { actors: number; waiting: number }> = {};
    for (const { address, depth } of this.#actors.values()) {
      const ofKind = (kinds[address.kind] ??= { actors: 0, waiting: 0 });
      ofKind.actors++;
      ofKind.waiting += depth;
      mailbox.total += depth;
      mailbox.deepest = Math.max(mailbox.deepest, depth);
    }
    const { turns, writes, refusals, crashes, restarts, parks, storeFailures } = stats;
    const counters = { turns, writes, refusals, crashes, restarts, parks, storeFailures };
    const { deadLetters, effects } = stats;
    return { actors: this.#actors.size, ...counters, mailbox, kinds, deadLetters, effects };
  }

  #deliver(to: Address, message: unknown, trace: string, reply: Reply | null): void {
    try {
      this.#find(to).deliver(message, trace, reply);
    } catch (error) {
      if (!(error instanceof TroupeError)) throw error;
      if (reply !== null) return reply.reject(error);
      this.#env.stats.deadLetter(this.#kinds.has(to.kind) ? to.kind : '?', '?', codeOf(error));
    }
  }

  /** The actor of an address, made if need be. Throws TroupeError when it may not run here. */
  #find(address: Address): SupervisedActor {
    const key = formatAddress(address);
    return this.#actors.get(key) ?? this.#activate(address, key, undefined);
  }

  #activate(address: Address, key: string, loaded: Loaded | undefined): SupervisedActor {
    const kind = this.#kinds.get(address.kind);
    if (this.#isStopped) throw new TroupeError('actor/stopped', 'the daemon is stopping');
    if (kind === undefined)
      throw new TroupeError('actor/unknown-kind', `no kind ${address.kind}, asked for ${key}`);
    const epoch = this.#isDraining(address) ? null : this.#env.ownership.epochOf(address);
    if (epoch === null)
      throw new TroupeError('shard/not-owner', `${key} is not owned by ${this.#env.node}`);
    const actor = kind.activate(address, { epoch, loaded, onGone: this.#onGone });
    this.#actors.set(key, actor);
    return actor;
  }

  #isDraining(address: Address): boolean {
    for (const matches of this.#draining) if (matches(address)) return true;
    return false;
  }

  #resumeOne({ address, loaded }: ResumeEntry, departed: ReadonlySet<string>): boolean {
    const key = formatAddress(address);
    const kind = this.#kinds.get(address.kind);
    if (kind === undefined || departed.has(key) || this.#actors.has(key)) return false;
    if (!kind.hasWork(loaded)) return false;
    try {
      const trace = loaded.snapshot.trace ?? this.#env.random.uuid();
      this.#activate(address, key, loaded).wake(trace);
      return true;
    } catch (error) {
      this.#env.log('warn', 'not resumed', { ...address, code: codeOf(error), error });
      return false;
    }
  }

  /** Passivation: one sweep for all instead of a timer each. */
  #sweepLater(): void {
    const { idleMs } = this.#env.limits;
    this.timers.after(idleMs / 4, () => {
      for (const actor of this.#actors.values()) actor.retire(idleMs);
      this.#sweepLater();
    });
  }
}
