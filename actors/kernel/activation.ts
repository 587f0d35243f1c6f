// One life of one actor, under one epoch: from its first turn to the end that its supervisor is told.
//
// A1  The order of a turn: decide, write state and events in one guarded transaction, reply, reconcile
//     effects and alarm. Nothing is answered or started that is not stored.
// A2  Ownership is checked before each turn and after each load. Under another epoch, or none, the life
//     ends at once: somebody else may have changed the object.
// A3  When the outcome of a write is unknown, the snapshot is read again before the next turn; effects
//     go on meanwhile, since they follow from a state that is stored.
// A4  A snapshot that can't be read makes the actor unusable: it refuses everything with the reason and
//     writes nothing, so the stored value stays as evidence. It never starts empty.
// A5  A crash ends the life. The message that crashed is dropped, its asker gets `actor/crashed`.
import { Alarm } from './alarm.ts';
import { backoffMs } from './backoff.ts';
import type { Timer } from './clock.ts';
import type { EffectHost } from './effect-run.ts';
import { EffectRunner } from './effects.ts';
import type { Environment } from './environment.ts';
import { codeOf, reasonOf, TroupeError } from './errors.ts';
import type { Failure, LifeInspection, Waiting } from './inspection.ts';
import {
  formatAddress,
  type Address,
  type KernelMessage,
  type Kind,
  type Message,
} from './kind.ts';
import { isOver, nameOf, refuseMail, type Mail, type OutcomeSource } from './mail.ts';
import type { Loaded, LogLevel, Performers } from './ports.ts';
import type { ActorCell, Posted } from './cell.ts';
import { isFailure, Turns, unusable, type TurnFailure, type TurnResult } from './turn.ts';

/** Why an actor is stopped from outside: the daemon stops, or the shard is given up. */
export type StopCode = 'actor/stopped' | 'shard/not-owner';

/** Why a life ended of itself. */
export type LifeEnd =
  | { readonly how: 'not-owner' }
  /** Nothing is stored under the address, and nothing waits. */
  | { readonly how: 'idle' }
  | { readonly how: 'crashed'; readonly error: unknown };

export interface LifeOptions<M extends Message> {
  readonly epoch: number;
  /** The snapshot, if somebody has just read it under this epoch. */
  readonly loaded?: Loaded | undefined;
  /** What waited for the life before this one. */
  readonly waiting?: readonly Mail<M>[];
  /** Takes no turn before begin(). */
  readonly isPaused?: boolean;
  /** Parks the object first, for this reason. */
  readonly parkFor?: string | undefined;
  /** Called once, from the turn that ended the life, which is closed by then; with what waited. */
  readonly onEnd: (end: LifeEnd, waiting: readonly Mail<M>[]) => void;
}

export class Activation<S, M extends Message, E extends string> implements EffectHost<S, M> {
  readonly address: Address;
  readonly epoch: number;
  readonly #kind: Kind<S, M, E>;
  readonly #env: Environment;
  readonly #turns: Turns<S, M, E>;
  readonly #cell: ActorCell<Mail<M>>;
  readonly #effects: EffectRunner<S, M, E>;
  readonly #alarm: Alarm;
  readonly #onEnd: LifeOptions<M>['onEnd'];
  readonly #activeSinceMs: number;
  #loaded: Loaded | undefined;
  #parkFor: string | undefined;
  #unusable: TroupeError | null = null;
  #effectsEnded: Promise<void> | null = null;
  #retry: { readonly timer: Timer; readonly atMs: number } | null = null;
  #storeFailures = 0;
  /** What a message is told that comes too late. */
  #closed: StopCode = 'actor/stopped';
  #inHand: Mail<M> | null = null;
  #turnSinceMs = 0;
  #usedMono: number;
  #lastError: Failure | null = null;
  #trace: string | null = null;

  constructor(
    address: Address,
    kind: Kind<S, M, E>,
    performers: Performers<S, M, E>,
    options: LifeOptions<M>,
    env: Environment,
  ) {
    this.address = address;
    this.epoch = options.epoch;
    this.#kind = kind;
    this.#env = env;
    this.#onEnd = options.onEnd;
    this.#loaded = options.loaded;
    this.#parkFor = options.parkFor;
    this.#activeSinceMs = env.clock.nowMs();
    this.#usedMono = env.clock.monoMs();
    this.#turns = new Turns(address, kind, options.epoch, env);
    this.#effects = new EffectRunner(kind, performers, this, env);
    this.#effects.onRest = () => this.#leaveIfGone();
    this.#alarm = new Alarm(env, (atMs) => this.#ring(atMs));
    this.#cell = env.system.spawn((mail) => this.#handle(mail), {
      limit: env.limits.mailbox,
      isPaused: options.isPaused ?? false,
      waiting: options.waiting ?? [],
    });
  }

  /** Resolves when the last turn and the last effect of a closed life are over. */
  get ended(): Promise<unknown> {
    return Promise.all([this.#cell.ended, this.#effectsEnded]);
  }

  /** Messages that wait. */
  get depth(): number {
    return this.#cell.depth;
  }

  send(mail: Mail<M>): Posted {
    return this.#cell.post(mail);
  }

  /** Loads the object and starts what its state implies. */
  wake(trace: string): void {
    this.#cell.force({ kind: 'wake', trace });
  }

  /** Lets a paused life take its turns, the first of which loads the object. */
  begin(): void {
    this.#cell.resume();
    this.wake(this.#env.random.uuid());
  }

  /**
   * Calls the effects off and hands back what waited. The turn in hand goes on; see `ended`. One that has not begun,
   * because its object is being loaded, is refused with `code`.
   */
  close(code: StopCode = 'actor/stopped'): readonly Mail<M>[] {
    if (!this.#cell.isClosed) this.#closed = code;
    const waiting = this.#cell.close();
    this.#alarm.cancel();
    this.#retry?.timer.cancel();
    this.#effectsEnded ??= this.#effects.close();
    return waiting;
  }

  /** True when nothing happens, nothing is to come, and nobody has sent anything for `idleMs`. */
  isIdle(idleMs: number): boolean {
    if (this.#cell.isBusy || this.#cell.depth > 0 || this.#unusable !== null) return false;
    if (!this.#turns.object.isCurrent || !this.#hasNothingToCome()) return false;
    return this.#env.clock.monoMs() - this.#usedMono >= idleMs;
  }

  /** The reason that everything is refused with, if it is. */
  get unusable(): TroupeError | null {
    return this.#unusable;
  }

  get isLoaded(): boolean {
    return this.#turns.object.isCurrent;
  }

  /** What the object is waiting for, as its kind's passing() says. */
  get waitsFor(): Waiting | null {
    const passing = this.#kind.passing(this.#turns.object.state);
    return passing && { ...passing, cancel: passing.cancel?.kind ?? null };
  }

  inspect(): LifeInspection {
    const { exists, revision } = this.#turns.object;
    const mail = this.#inHand;
    return {
      activation: this.#cell.activation,
      epoch: this.epoch,
      activeSinceMs: this.#activeSinceMs,
      exists,
      revision,
      mailboxDepth: this.#cell.depth,
      turn: mail && { message: nameOf(mail), trace: mail.trace, sinceMs: this.#turnSinceMs },
      effects: this.#effects.inspect(),
      alarmAtMs: this.#alarm.atMs,
      retryAtMs: this.#retry?.atMs ?? null,
      waitsFor: this.waitsFor,
      lastError: this.#lastError,
      trace: this.#trace,
    };
  }

  /** For effects: the last state that is stored. */
  state(): S {
    return this.#turns.object.state;
  }

  /** For effects as well: false ends the life (A2). */
  owns(): boolean {
    if (this.#cell.isClosed) return false;
    if (this.#env.ownership.epochOf(this.address) === this.epoch) return true;
    this.#finish({ how: 'not-owner' });
    return false;
  }

  /** For effects: outcomes (one per effect) are not lost to overflow; reports may be. */
  post(message: M | KernelMessage, trace: string, source: OutcomeSource | null): void {
    const mail = { kind: 'own', message, trace, source } as const;
    const posted = source === null ? this.#cell.post(mail) : this.#cell.force(mail);
    if (posted === 'accepted') return;
    this.#env.stats.deadLetter(this.address.kind, message.kind, posted);
    source?.settle(false);
  }

  #ring(atMs: number): void {
    this.#cell.force({ kind: 'alarm', atMs, trace: this.#env.random.uuid() });
  }

  #handle(mail: Mail<M>): void | Promise<void> {
    this.#inHand = mail;
    this.#turnSinceMs = this.#env.clock.nowMs();
    this.#usedMono = this.#env.clock.monoMs();
    try {
      const pending = this.#receive(mail);
      if (pending === undefined) return this.#turnOver();
      return pending.then(
        () => this.#turnOver(),
        (error: unknown) => this.#crash(mail, error),
      );
    } catch (error) {
      return this.#crash(mail, error);
    }
  }

  #receive(mail: Mail<M>): void | Promise<void> {
    if (isOver(mail)) return refuseMail(mail, this.#absence());
    if (!this.owns()) return this.#refuse(mail, this.#absence());
    if (this.#unusable !== null) return this.#refuse(mail, this.#unusable);
    if (!this.#turns.object.isCurrent || this.#parkFor !== undefined) return this.#loadFor(mail);
    return this.#take(mail);
  }

  #take(mail: Mail<M>): void | Promise<void> {
    if (mail.kind === 'wake') return;
    // The state may have named another time while the alarm waited in the mailbox.
    if (mail.kind === 'alarm' && mail.atMs !== this.#alarm.atMs) return;
    const message =
      mail.kind === 'alarm' ? ({ kind: 'time-reached', atMs: mail.atMs } as const) : mail.message;
    const result = this.#turns.take(message, mail.trace);
    if (result instanceof Promise) return result.then((later) => this.#conclude(mail, later));
    this.#conclude(mail, result);
  }

  /** Reply and reconciliation happen in one go: whoever has the reply finds the effects started. */
  #conclude(mail: Mail<M>, result: TurnResult): void {
    if (isFailure(result)) return this.#fail(mail, result);
    if (mail.kind === 'sent' && result.how === 'done') mail.reply?.resolve(result.reply);
    if (mail.kind === 'sent' && result.how === 'declined') mail.reply?.reject(result.error);
    if (mail.kind === 'own') mail.source?.settle(true);
    if (result.how === 'declined' || !result.isChanged) return this.#effects.pump();
    this.#trace = mail.trace;
    this.#reconcile(mail.trace);
  }

  /** Starts, calls off and sets what the stored state implies (K2). */
  #reconcile(trace: string): void {
    if (this.#cell.isClosed) return;
    const { state } = this.#turns.object;
    this.#effects.reconcile(state, trace);
    const times = [this.#kind.timer(state), this.#kind.passing(state)?.deadlineAtMs ?? null];
    const known = times.filter((time) => time !== null);
    this.#alarm.set(known.length > 0 ? Math.min(...known) : null);
  }

  async #loadFor(mail: Mail<M>): Promise<void> {
    const loaded = await this.#turns.load(this.#loaded);
    this.#loaded = undefined;
    if (isFailure(loaded)) return this.#fail(mail, loaded);
    if (!this.owns()) return this.#refuse(mail, this.#absence());
    this.#storeFailures = 0;
    this.#retry?.timer.cancel();
    this.#retry = null;
    const parked = await this.#prepare(mail.trace);
    if (parked !== null) return this.#fail(mail, parked);
    if (isOver(mail)) return refuseMail(mail, this.#absence());
    await this.#take(mail);
  }

  /** After a load: park if that is due, then run what the state implies. Null: ready for turns. */
  async #prepare(trace: string): Promise<TurnFailure | null> {
    // An alarm that rang before the reload is set again, so that it rings at once.
    this.#alarm.cancel();
    const reason = this.#parkFor;
    // What does not exist is not created to be put in error.
    if (reason === undefined || !this.#turns.object.exists) {
      this.#parkFor = undefined;
      // What is carried on belongs to the request that wanted it, not to whoever woke the actor.
      this.#reconcile(this.#turns.object.loadedTrace ?? trace);
      return null;
    }
    const parked = await this.#turns.park(reason, trace);
    if (isFailure(parked)) return parked;
    this.#parkFor = undefined;
    try {
      this.#reconcile(trace);
      return null;
    } catch (error) {
      return unusable(`crashes even when parked (${reasonOf(error)}) after: ${reason}`, error);
    }
  }

  #fail(mail: Mail<M>, failure: TurnFailure): void {
    const { how, error } = failure;
    // Without an asker nobody would notice that the message was dropped.
    if (how === 'unstorable' && !(mail.kind === 'sent' && mail.reply !== null)) throw error;
    this.#refuse(mail, error);
    this.#note(error);
    switch (how) {
      case 'unstorable':
        return this.#log('warn', 'a message asked for more than can be stored', error);
      case 'not-owner':
        return this.#finish({ how: 'not-owner' });
      case 'store-failed':
        return this.#retryLater(error);
      case 'unusable':
        this.#unusable = error;
        this.#alarm.cancel();
        this.#effectsEnded ??= this.#effects.close();
        return this.#log('error', 'the actor is unusable', error);
    }
  }

  /** The object is read again even if nobody asks for it: its effects and its alarm depend on it. */
  #retryLater(error: TroupeError): void {
    this.#storeFailures++;
    if (this.#storeFailures === 1) this.#log('warn', 'the store did not answer', error);
    this.#env.stats.storeFailures++;
    if (this.#retry !== null || this.#cell.isClosed) return;
    const { limits, clock, random, timers } = this.#env;
    const delayMs = backoffMs(limits, this.#storeFailures, random.number());
    const timer = timers.after(delayMs, () => {
      this.#retry = null;
      this.wake(random.uuid());
    });
    this.#retry = { timer, atMs: clock.nowMs() + delayMs };
  }

  #crash(mail: Mail<M>, error: unknown): void {
    this.#inHand = null;
    this.#env.stats.crashes++;
    const during = nameOf(mail);
    const text = `${formatAddress(this.address)} crashed on ${during}: ${reasonOf(error)}`;
    this.#refuse(mail, new TroupeError('actor/crashed', text, {}, error));
    this.#note(error);
    this.#log('error', `crashed on ${during}`, error, { trace: mail.trace });
    this.#finish({ how: 'crashed', error });
  }

  #turnOver(): void {
    this.#inHand = null;
    this.#leaveIfGone();
  }

  /** Nothing is stored under the address (any more): unknown ids must not fill the memory. */
  #leaveIfGone(): void {
    const { exists, isCurrent } = this.#turns.object;
    if (exists || !isCurrent || this.#cell.depth > 0 || this.#inHand !== null) return;
    if (this.#unusable === null && this.#hasNothingToCome()) this.#finish({ how: 'idle' });
  }

  #hasNothingToCome(): boolean {
    return this.#effects.isEmpty && this.#alarm.atMs === null && this.#retry === null;
  }

  #finish(end: LifeEnd): void {
    if (this.#cell.isClosed) return;
    const code = end.how === 'not-owner' ? 'shard/not-owner' : 'actor/stopped';
    this.#onEnd(end, this.close(code));
  }

  #refuse(mail: Mail<M>, error: TroupeError): void {
    refuseMail(mail, error);
    if (mail.kind !== 'sent' || mail.reply !== null) return;
    this.#env.stats.deadLetter(this.address.kind, mail.message.kind, error.code);
  }

  /** Why a message that came too late is not carried out. */
  #absence(): TroupeError {
    const address = formatAddress(this.address);
    if (this.#closed === 'actor/stopped')
      return new TroupeError('actor/stopped', `${address} has stopped`);
    return new TroupeError('shard/not-owner', `${address} is not owned here any more`);
  }

  #note(error: unknown): void {
    const atMs = this.#env.clock.nowMs();
    this.#lastError = { code: codeOf(error), reason: reasonOf(error), atMs };
  }

  #log(level: LogLevel, message: string, error: unknown, fields: object = {}): void {
    const { kind, id } = this.address;
    this.#env.log(level, message, { kind, id, code: codeOf(error), error, ...fields });
  }
}
