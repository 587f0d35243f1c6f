// One run of one effect: attempts with back-off until it succeeds, gives up, or is called off.
//
// R1  Ownership is checked before each attempt and before the outcome is delivered.
// R2  Giving up is an outcome: `effect-failed`, delivered as the success would have been.
// R3  The deadline cuts an attempt that hangs. Its `effect-failed` does not wait for the attempt to end;
//     the run does, so that no second run of the effect starts beside a performer that ignores its signal.
// R4  An outcome is delivered until a turn has taken it in (the store may be away); the effect itself is
//     not repeated for that.
// R5  A run never rejects: whatever a performer does, also throwing instead of rejecting, ends here.
import { backoffMs } from './backoff.ts';
import { effectContext } from './effect-context.ts';
import type { Boundary, Environment } from './environment.ts';
import { codeOf, reasonOf, TroupeError } from './errors.ts';
import type { EffectInspection, Failure } from './inspection.ts';
import type { Address, EffectPolicy, KernelMessage, Message } from './kind.ts';
import type { OutcomeSource } from './mail.ts';
import type { LogLevel, Performer } from './ports.ts';
import type { EffectEnd } from './stats.ts';

/** The activation an effect belongs to. */
export interface EffectHost<S, M extends Message> {
  readonly address: Address;
  readonly epoch: number;
  state(): S;
  /** False when another daemon may own the object by now; the activation then ends. */
  owns(): boolean;
  /** Puts a message into the actor's own mailbox; a source is settled when its turn is over. */
  post(message: M | KernelMessage, trace: string, source: OutcomeSource | null): void;
}

export interface EffectSpec<S, M extends Message> {
  readonly name: string;
  readonly key: string;
  readonly trace: string;
  readonly policy: EffectPolicy;
  readonly perform: Performer<S, M>;
}

type Attempt<M> = { readonly message: M | undefined } | { readonly error: unknown };
interface Verdict<M extends Message> {
  readonly end: EffectEnd;
  /** Undefined: nothing to deliver. */
  readonly message: M | KernelMessage | undefined;
}

const EXPIRED = Symbol('expired');

export class EffectRun<S, M extends Message> implements OutcomeSource {
  readonly spec: EffectSpec<S, M>;
  /** Resolves when nothing of the run is going on any more. */
  readonly ended: Promise<void>;
  readonly #host: EffectHost<S, M>;
  readonly #env: Environment;
  readonly #abort = new AbortController();
  readonly #expired = Promise.withResolvers<typeof EXPIRED>();
  readonly #startedAtMs: number;
  #phase: EffectInspection['phase'] = 'performing';
  #attempt = 0;
  #nextAttemptAtMs: number | null = null;
  #lastError: Failure | null = null;
  #isCalledOff = false;
  #isExpired = false;
  #end: EffectEnd | null = null;
  #performing: Promise<Attempt<M> | null> = Promise.resolve(null);
  #interrupt: () => void = () => {};
  #settle: (isTaken: boolean) => void = () => {};

  constructor(spec: EffectSpec<S, M>, host: EffectHost<S, M>, env: Environment) {
    this.spec = spec;
    this.#host = host;
    this.#env = env;
    this.#startedAtMs = env.clock.nowMs();
    this.ended = this.#run();
  }

  /** Set as soon as the outcome has been taken in, which is before `ended` resolves. */
  get end(): EffectEnd | null {
    return this.#end;
  }

  get isWanted(): boolean {
    return !this.#isCalledOff;
  }

  /** The state no longer wants the effect, or the actor stops. Idempotent. */
  callOff(): void {
    if (this.#isCalledOff || this.#end !== null) return;
    this.#isCalledOff = true;
    this.#phase = 'aborting';
    this.#abort.abort(new TroupeError('actor/stopped', `${this.spec.name} is no longer wanted`));
    this.#interrupt();
    this.#settle(false);
  }

  settle(isTaken: boolean): void {
    this.#settle(isTaken);
  }

  inspect(): EffectInspection {
    const { name, key, trace } = this.spec;
    return {
      name,
      key,
      trace,
      phase: this.#phase,
      attempt: this.#attempt,
      startedAtMs: this.#startedAtMs,
      nextAttemptAtMs: this.#nextAttemptAtMs,
      lastError: this.#lastError,
    };
  }

  async #run(): Promise<void> {
    const { kind } = this.#host.address;
    const { stats, clock, timers } = this.#env;
    const startedMono = clock.monoMs();
    stats.effectStarted(kind, this.spec.name);
    const deadline = timers.after(this.spec.policy.deadlineMs, () => this.#expire());
    const verdict = await this.#verdict();
    deadline.cancel();
    if (verdict.message === undefined) this.#end = verdict.end;
    else await this.#deliver(verdict.message, verdict.end);
    stats.effectEnded(kind, this.spec.name, this.#end ?? 'aborted', clock.monoMs() - startedMono);
    await this.#performerEnded();
    this.#end ??= 'aborted';
  }

  /** A performer that ignores its signal blocks its effect: that is a bug, and has to be seen. */
  async #performerEnded(): Promise<void> {
    const watchdog = this.#env.timers.after(this.#env.limits.stopDeadlineMs, () => {
      this.#log('error', `effect ${this.spec.name} ignores its abort signal`);
    });
    await this.#performing;
    watchdog.cancel();
  }

  /** Attempts until there is something to say. */
  async #verdict(): Promise<Verdict<M>> {
    for (;;) {
      if (!this.#mayGoOn()) return { end: 'aborted', message: undefined };
      if (this.#isExpired) return this.#givenUp();
      this.#performing = this.#tryOnce(++this.#attempt);
      const attempt = await Promise.race([this.#performing, this.#expired.promise]);
      if (attempt === null || this.#isCalledOff) return { end: 'aborted', message: undefined };
      if (attempt === EXPIRED) return this.#givenUp();
      if ('message' in attempt) return { end: 'succeeded', message: attempt.message };
      this.#note(attempt.error);
      if (attempt.error instanceof TroupeError && attempt.error.retry === 'never')
        return this.#givenUp();
      await this.#pause(this.#attempt);
    }
  }

  /** Never rejects. Null: called off before it began. */
  async #tryOnce(attempt: number): Promise<Attempt<M> | null> {
    const run = { attempt, signal: this.#abort.signal };
    this.#phase = 'performing';
    if (attempt > 1) this.#env.stats.effectRetried(this.#host.address.kind, this.spec.name);
    try {
      await this.#boundary('before');
      if (this.#isCalledOff) return null;
      const context = effectContext(this.spec, this.#host, this.#env, run);
      const message = await this.spec.perform(this.#host.state(), context);
      await this.#boundary('performed');
      return { message };
    } catch (error) {
      return { error };
    }
  }

  async #deliver(message: M | KernelMessage, end: EffectEnd): Promise<void> {
    for (let tries = 1; this.#mayGoOn(); tries++) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#phase = 'delivering';
      this.#settle = (isTaken) => {
        if (isTaken) this.#end = end;
        resolve();
      };
      this.#host.post(message, this.spec.trace, this);
      await promise;
      if (this.#end !== null) return;
      await this.#pause(tries);
    }
  }

  #mayGoOn(): boolean {
    return !this.#isCalledOff && this.#host.owns();
  }

  /** Until the back-off is over, or the run is called off or out of time. */
  async #pause(failures: number): Promise<void> {
    if (this.#isCalledOff) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const delayMs = backoffMs(this.spec.policy, failures, this.#env.random.number());
    const timer = this.#env.timers.after(delayMs, resolve);
    this.#interrupt = resolve;
    this.#phase = 'pausing';
    this.#nextAttemptAtMs = this.#env.clock.nowMs() + delayMs;
    await promise;
    timer.cancel();
    this.#nextAttemptAtMs = null;
  }

  #expire(): void {
    const reason = `${this.spec.name} is out of time`;
    this.#isExpired = true;
    this.#expired.resolve(EXPIRED);
    this.#abort.abort(new TroupeError('object/deadline', reason));
    this.#interrupt();
  }

  #givenUp(): Verdict<M> {
    const { name, key, policy } = this.spec;
    const { code, reason } = this.#lastError ?? {
      code: 'object/deadline' as const,
      reason: `still at its first attempt after ${policy.deadlineMs} ms`,
    };
    // The reason is what the object's owner reads: the last error's own words, and how long they stood.
    const tried = this.#isExpired
      ? ` (${this.#attempt} tries in ${policy.deadlineMs / 1000} s)`
      : '';
    this.#log('warn', `effect ${name} given up`, { code, reason, attempt: this.#attempt });
    const message = {
      kind: 'effect-failed',
      effect: name,
      key,
      code,
      reason: reason + tried,
    } as const;
    return { end: 'failed', message };
  }

  /** Logs a failure when it is another one than the last: ten minutes of retries are one story. */
  #note(error: unknown): void {
    const [code, reason] = [codeOf(error), reasonOf(error)];
    const isNews = this.#lastError?.code !== code;
    this.#lastError = { code, reason, atMs: this.#env.clock.nowMs() };
    this.#log(isNews ? 'warn' : 'debug', `effect ${this.spec.name} failed`, { code, error });
  }

  #log(level: LogLevel, message: string, fields: Readonly<Record<string, unknown>> = {}): void {
    const { kind, id } = this.#host.address;
    const { trace, key } = this.spec;
    this.#env.log(level, message, { kind, id, trace, key, attempt: this.#attempt, ...fields });
  }

  async #boundary(stage: Boundary['stage']): Promise<void> {
    const { onBoundary } = this.#env;
    if (onBoundary === null) return;
    await onBoundary({ address: this.#host.address, effect: this.spec.name, stage });
  }
}
