// Turns on one object: decide and write. What follows from the result is the activation's business.
//
// T1  A result that is done is stored: its reply names the revision, 0 when there was nothing to write.
// T2  Nothing but a crash (a bug, a broken environment) throws; what kind and store say is a result.
import type { Boundary, Environment } from './environment.ts';
import { decide, parkingWrite } from './decide.ts';
import { reasonOf, TroupeError } from './errors.ts';
import type { Json } from './json.ts';
import type { Address, Kind, KernelMessage, Message } from './kind.ts';
import type { AskReply, Loaded, TurnWrite } from './ports.ts';
import { StoredObject } from './stored-object.ts';

export type TurnResult = TurnAnswer | TurnFailure;

export type TurnAnswer =
  /** `isChanged`: there is another state to reconcile with. */
  | { readonly how: 'done'; readonly isChanged: boolean; readonly reply: AskReply }
  /** The kind refuses the message. */
  | { readonly how: 'declined'; readonly error: TroupeError };

export type TurnFailure =
  /** The store refuses what the message asks for. */
  | { readonly how: 'unstorable'; readonly error: TroupeError }
  | { readonly how: 'not-owner'; readonly error: TroupeError }
  /** Whether the write was done is unknown. */
  | { readonly how: 'store-failed'; readonly error: TroupeError }
  | { readonly how: 'unusable'; readonly error: TroupeError };

/** Errors after which nobody knows whether a write was done. */
const UNKNOWN_OUTCOME: ReadonlySet<string> = new Set([
  'store/unavailable',
  'store/closed',
  'store/lease-lost',
]);
/** Errors that are the message's fault: it asked for more than can be stored. */
const UNSTORABLE: ReadonlySet<string> = new Set(['store/too-large', 'store/bad-value']);

export class Turns<S, M extends Message, E extends string> {
  readonly object: StoredObject<S>;
  readonly #kind: Kind<S, M, E>;
  readonly #epoch: number;
  readonly #env: Environment;

  constructor(address: Address, kind: Kind<S, M, E>, epoch: number, env: Environment) {
    this.object = new StoredObject(address, kind.initial, kind.snapshot);
    this.#kind = kind;
    this.#epoch = epoch;
    this.#env = env;
  }

  /** Reads the object; `loaded` is a snapshot that somebody has just read. */
  async load(loaded: Loaded | undefined): Promise<TurnResult> {
    try {
      if (loaded === undefined) await this.object.load(this.#env.journal);
      else this.object.adopt(loaded);
      return done(null, this.object.revision);
    } catch (error) {
      return failure(error);
    }
  }

  /** One message. At once when nothing has to be written; throws or rejects on a crash. */
  take(message: M | KernelMessage, trace: string): TurnResult | Promise<TurnResult> {
    const { stats } = this.#env;
    stats.turns++;
    const input = { message, trace, epoch: this.#epoch };
    const decision = decide(this.#kind, this.object, input, this.#env);
    switch (decision.kind) {
      case 'refused':
        stats.refusals++;
        return { how: 'declined', error: decision.error };
      case 'unchanged':
        return { how: 'done', isChanged: false, reply: { value: decision.reply, revision: 0 } };
      case 'write':
        return this.#write(decision);
    }
  }

  /** Writes the state of an object parked after crashes. */
  async park(reason: string, trace: string): Promise<TurnResult> {
    try {
      const parking = { reason, trace, epoch: this.#epoch };
      const change = parkingWrite(this.#kind, this.object, parking, this.#env);
      if (change === null) return done(null, this.object.revision);
      this.#env.stats.parks++;
      const result = await this.#write({ ...change, reply: null });
      // Another crash would only lead back here.
      return result.how === 'unstorable' ? unparkable(reason, result.error) : result;
    } catch (error) {
      return unparkable(reason, error);
    }
  }

  async #write(change: {
    readonly state: S | null;
    readonly write: TurnWrite;
    readonly reply: Json;
  }): Promise<TurnResult> {
    await this.#boundary('before-write');
    let revision: number;
    try {
      revision = await this.#env.journal.commit(change.write);
    } catch (error) {
      const result = failure(error);
      if (result.how === 'store-failed') this.object.doubt();
      return result;
    }
    this.#env.stats.writes++;
    this.object.written(change.state, revision);
    await this.#boundary('written');
    return done(change.reply, revision);
  }

  async #boundary(stage: Boundary['stage']): Promise<void> {
    const { onBoundary } = this.#env;
    if (onBoundary !== null)
      await onBoundary({ address: this.object.address, effect: null, stage });
  }
}

function done(value: Json, revision: number): TurnResult {
  return { how: 'done', isChanged: true, reply: { value, revision } };
}

export function isFailure(result: TurnResult): result is TurnFailure {
  return result.how !== 'done' && result.how !== 'declined';
}

/** An actor that can only say why it can't go on. */
export function unusable(reason: string, cause: unknown): TurnFailure {
  return { how: 'unusable', error: new TroupeError('actor/crashed', reason, {}, cause) };
}

function unparkable(reason: string, error: unknown): TurnFailure {
  return unusable(`can't be parked (${reasonOf(error)}) after: ${reason}`, error);
}

/** What an error of the journal means; anything that is not one is thrown on: a crash. */
function failure(error: unknown): TurnFailure {
  if (!(error instanceof TroupeError)) throw error;
  if (error.code === 'shard/not-owner') return { how: 'not-owner', error };
  if (error.code === 'actor/bad-snapshot') return { how: 'unusable', error };
  if (UNKNOWN_OUTCOME.has(error.code)) return { how: 'store-failed', error };
  if (UNSTORABLE.has(error.code)) return { how: 'unstorable', error };
  throw error;
}
