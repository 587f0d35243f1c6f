// Supervision of one address: one life at a time, and what follows a life's end.
//
// V1  Two lives never overlap: the next begins when the turns and effects of the last are over. One that
//     does not end by the stop deadline is logged, and left to its fences.
// V2  A crash is answered by the kind's own onCrash: restart with back-off (what others sent waits; the
//     old life's own messages are dropped), park, or stop the daemon. An onCrash that throws means park.
// V3  stop() refuses new messages, lets the turn in hand finish, waits for the effects, and answers what
//     waited with `actor/stopped`. Giving up or losing the shard does the same with `shard/not-owner`: whoever
//     sent it looks for the next owner.
import { Activation, type LifeEnd, type LifeOptions, type StopCode } from './activation.ts';
import { backoffMs } from './backoff.ts';
import type { Timer } from './clock.ts';
import { decodeSent } from './decode-sent.ts';
import type { Environment } from './environment.ts';
import { reasonOf, TroupeError, type ErrorCode } from './errors.ts';
import type { ActorStatus, Inspection, Stuck } from './inspection.ts';
import {
  formatAddress,
  type Address,
  type CrashDecision,
  type Kind,
  type Message,
} from './kind.ts';
import { refuseMail, type Mail, type Reply } from './mail.ts';
import type { Loaded, Performers } from './ports.ts';
import { Restarts } from './restarts.ts';
import { within } from './within.ts';

/** An actor of whatever kind, as the runtime sees it. */
export interface SupervisedActor {
  readonly address: Address;
  /** A message as it came; null reply: a tell. */
  deliver(message: unknown, trace: string, reply: Reply | null): void;
  wake(trace: string): void;
  /**
   * What waits is answered with `code`. Resolves when nothing of the actor runs any more, or the stop
   * deadline has passed.
   */
  stop(code: StopCode): Promise<void>;
  /** Ends an actor that has had nothing to do for `idleMs`; false when it has. */
  retire(idleMs: number): boolean;
  inspect(): Inspection;
  stuck(nowMs: number): Stuck | null;
  readonly depth: number;
}

export interface SupervisorOptions {
  readonly epoch: number;
  readonly loaded?: Loaded | undefined;
  /** The address is free again. */
  readonly onGone: (actor: SupervisedActor) => void;
}

export class Supervisor<S, M extends Message, E extends string> implements SupervisedActor {
  readonly address: Address;
  readonly #kind: Kind<S, M, E>;
  readonly #performers: Performers<S, M, E>;
  readonly #env: Environment;
  readonly #onGone: SupervisorOptions['onGone'];
  #life: Activation<S, M, E>;
  /** When the lives before this one are over. */
  #past: Promise<unknown> | null = null;
  #restarts: Restarts | null = null;
  #restart: { readonly timer: Timer; readonly atMs: number } | null = null;
  #leaving: { readonly code: ErrorCode; readonly done: Promise<void> } | null = null;

  constructor(
    address: Address,
    kind: Kind<S, M, E>,
    performers: Performers<S, M, E>,
    options: SupervisorOptions,
    env: Environment,
  ) {
    this.address = address;
    this.#kind = kind;
    this.#performers = performers;
    this.#env = env;
    this.#onGone = options.onGone;
    this.#life = this.#newLife({ epoch: options.epoch, loaded: options.loaded });
  }

  get depth(): number {
    return this.#life.depth;
  }

  deliver(raw: unknown, trace: string, reply: Reply | null): void {
    let message;
    try {
      message = decodeSent(this.#kind, raw);
    } catch (error) {
      return this.#undeliverable('?', asBadMessage(error), reply);
    }
    if (this.#leaving !== null)
      return this.#undeliverable(message.kind, this.#gone(this.#leaving.code), reply);
    const posted = this.#life.send({ kind: 'sent', message, trace, reply });
    if (posted === 'accepted') return;
    const text = `${formatAddress(this.address)} has ${this.#life.depth} messages waiting`;
    const error =
      posted === 'full' ? new TroupeError('actor/overloaded', text) : this.#gone('actor/stopped');
    this.#undeliverable(message.kind, error, reply);
  }

  wake(trace: string): void {
    this.#life.wake(trace);
  }

  stop(code: StopCode): Promise<void> {
    return this.#leave(code, this.#life.close(code));
  }

  retire(idleMs: number): boolean {
    if (this.#leaving !== null || !this.#life.isIdle(idleMs)) return false;
    this.#life.close();
    this.#onGone(this);
    return true;
  }

  inspect(): Inspection {
    const life = this.#life.inspect();
    return {
      ...life,
      address: formatAddress(this.address),
      status: this.#status(),
      retryAtMs: this.#restart?.atMs ?? life.retryAtMs,
      restarts: this.#restarts?.count(this.#env.clock.monoMs()) ?? 0,
    };
  }

  stuck(nowMs: number): Stuck | null {
    const address = formatAddress(this.address);
    const { unusable, waitsFor } = this.#life;
    if (unusable !== null) {
      const sinceMs = this.#life.inspect().lastError?.atMs ?? nowMs;
      return { address, reason: unusable.message, sinceMs, deadlineAtMs: sinceMs, cancel: null };
    }
    const deadlineAtMs = waitsFor?.deadlineAtMs ?? null;
    if (waitsFor === null || deadlineAtMs === null || deadlineAtMs > nowMs) return null;
    return { address, ...waitsFor, deadlineAtMs };
  }

  #newLife(options: Omit<LifeOptions<M>, 'onEnd'>): Activation<S, M, E> {
    const onEnd = (end: LifeEnd, waiting: readonly Mail<M>[]) => this.#ended(end, waiting);
    const life = { ...options, onEnd };
    return new Activation(this.address, this.#kind, this.#performers, life, this.#env);
  }

  #ended(end: LifeEnd, waiting: readonly Mail<M>[]): void {
    switch (end.how) {
      case 'idle':
        return this.#onGone(this);
      case 'not-owner':
        return void this.#leave('shard/not-owner', waiting);
      case 'crashed':
        return this.#afterCrash(end.error, waiting);
    }
  }

  #afterCrash(error: unknown, waiting: readonly Mail<M>[]): void {
    const nowMono = this.#env.clock.monoMs();
    this.#restarts ??= new Restarts(this.#env.limits.restartWindowMs);
    const restarts = this.#restarts.count(nowMono);
    const decision = this.#decide(error, restarts);
    const epoch = this.#env.ownership.epochOf(this.address);
    if (decision === 'stop-daemon') {
      void this.#leave('actor/crashed', waiting);
      return this.#env.onFatal(error, this.address);
    }
    if (epoch === null) return void this.#leave('shard/not-owner', waiting);
    this.#restarts.add(nowMono);
    const parkFor = decision === 'park' ? `crashed: ${reasonOf(error)}` : undefined;
    this.#replace({ epoch, parkFor }, restarts, waiting);
  }

  #decide(error: unknown, restarts: number): CrashDecision {
    try {
      return this.#kind.onCrash(error, restarts);
    } catch (bug) {
      this.#log('error', 'onCrash threw; the object is parked', { error: bug });
      return 'park';
    }
  }

  /** A fresh life from the snapshot; it takes what others sent, and begins after a pause (V1, V2). */
  #replace(
    options: { readonly epoch: number; readonly parkFor: string | undefined },
    restarts: number,
    waiting: readonly Mail<M>[],
  ): void {
    const { stats, limits, timers, random, clock } = this.#env;
    const [sent, own] = [waiting.filter(isSent), waiting.filter((mail) => !isSent(mail))];
    for (const mail of own) refuseMail(mail, this.#gone('actor/crashed'));
    const last = this.#life;
    this.#past = Promise.all([this.#past, this.#overBy(last.ended)]);
    const life = this.#newLife({ ...options, waiting: sent, isPaused: true });
    this.#life = life;
    stats.restarts++;
    const delayMs = backoffMs(limits, restarts + 1, random.number());
    const timer = timers.after(delayMs, () => {
      void Promise.resolve(this.#past).then(() => {
        if (this.#life !== life) return;
        this.#restart = null;
        life.begin();
      });
    });
    this.#restart = { timer, atMs: clock.nowMs() + delayMs };
  }

  #leave(code: ErrorCode, waiting: readonly Mail<M>[]): Promise<void> {
    if (this.#leaving !== null) return this.#leaving.done;
    this.#restart?.timer.cancel();
    const over = Promise.all([this.#past, this.#overBy(this.#life.ended)]);
    const done = over.then(() => this.#onGone(this));
    this.#leaving = { code, done };
    for (const mail of waiting) {
      const reply = mail.kind === 'sent' ? mail.reply : null;
      if (mail.kind === 'sent') this.#undeliverable(mail.message.kind, this.#gone(code), reply);
      else refuseMail(mail, this.#gone(code));
    }
    return done;
  }

  async #overBy(ended: Promise<unknown>): Promise<void> {
    const { timers, limits } = this.#env;
    if (await within(timers, limits.stopDeadlineMs, ended)) return;
    this.#log('error', `still busy ${limits.stopDeadlineMs} ms after it was told to end`);
  }

  #undeliverable(message: string, error: TroupeError, reply: Reply | null): void {
    if (reply !== null) return reply.reject(error);
    this.#env.stats.deadLetter(this.address.kind, message, error.code);
  }

  #gone(code: ErrorCode): TroupeError {
    return new TroupeError(code, `${formatAddress(this.address)} does not run here any more`);
  }

  #status(): ActorStatus {
    if (this.#leaving !== null) return 'stopping';
    if (this.#restart !== null) return 'restarting';
    if (this.#life.unusable !== null) return 'unusable';
    return this.#life.isLoaded ? 'active' : 'loading';
  }

  #log(level: 'error', message: string, fields: object = {}): void {
    const { kind, id } = this.address;
    this.#env.log(level, message, { kind, id, ...fields });
  }
}

function isSent<M extends Message>(mail: Mail<M>): boolean {
  return mail.kind === 'sent';
}

function asBadMessage(error: unknown): TroupeError {
  if (error instanceof TroupeError) return error;
  return new TroupeError('actor/bad-message', reasonOf(error), {}, error);
}
