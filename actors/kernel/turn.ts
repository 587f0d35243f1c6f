// Turns on one object: decide, write, reply. What follows from the result is the activation's business.
//
// T1  The reply comes after the write, and names its revision; nothing written replies revision 0.
// T2  Nothing but a crash (a bug, a broken environment) throws; what the store says is a result.
import type { Boundary, Environment } from './environment.ts';
import { decide, parkingWrite } from './decide.ts';
import { reasonOf, TroupeError } from './errors.ts';
import type { Json } from './json.ts';
import type { Address, Kind, KernelMessage, Message } from './kind.ts';
import type { Reply } from './mail.ts';
import type { Loaded, TurnWrite } from './ports.ts';
import { StoredObject } from './stored-object.ts';

export type TurnResult =
  /** Answered. `isChanged`: there is another state to reconcile with. */
  | { readonly how: 'done'; readonly isChanged: boolean }
  /** Nothing answered: `refused` for the message's own sake, the rest for the store's. */
  | { readonly how: 'refused'; readonly error: TroupeError }
  | { readonly how: 'not-owner'; readonly error: TroupeError }
  | { readonly how: 'store-failed'; readonly error: TroupeError }
  | { readonly how: 'unusable'; readonly error: TroupeError };

const UNCHANGED: TurnResult = { how: 'done', isChanged: false };
const CHANGED: TurnResult = { how: 'done', isChanged: true };

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
      return CHANGED;
    } catch (error) {
      return failure(error);
    }
  }

  /** One message. At once when nothing has to be written; throws or rejects on a crash. */
  take(
    message: M | KernelMessage,
    trace: string,
    reply: Reply | null,
  ): TurnResult | Promise<TurnResult> {
    const { stats } = this.#env;
    stats.turns++;
    const input = { message, trace, epoch: this.#epoch };
    const decision = decide(this.#kind, this.object, input, this.#env);
    if (decision.kind === 'refused') {
      stats.refusals++;
      reply?.reject(decision.error);
      return UNCHANGED;
    }
    if (decision.kind === 'write') return this.#write(decision, reply);
    reply?.resolve({ value: decision.reply, revision: 0 });
    return UNCHANGED;
  }

  /** Writes the state of an object parked after crashes. */
  async park(reason: string, trace: string): Promise<TurnResult> {
    try {
      const parking = { reason, trace, epoch: this.#epoch };
      const change = parkingWrite(this.#kind, this.object, parking, this.#env);
      if (change === null) return CHANGED;
      this.#env.stats.parks++;
      return await this.#write({ ...change, reply: null }, null);
    } catch (error) {
      return unusable(`can't be parked (${reasonOf(error)}) after: ${reason}`, error);
    }
  }

  async #write(
    change: { readonly state: S | null; readonly write: TurnWrite; readonly reply: Json },
    reply: Reply | null,
  ): Promise<TurnResult> {
    await this.#boundary('before-write');
    let revision: number;
    try {
      revision = await this.#env.journal.commit(change.write);
    } catch (error) {
      const result = failure(error);
      if (result.how === 'refused' && reply === null) throw error;
      if (result.how === 'store-failed') this.object.doubt();
      return result;
    }
    this.#env.stats.writes++;
    this.object.written(change.state, revision);
    await this.#boundary('written');
    reply?.resolve({ value: change.reply, revision });
    return CHANGED;
  }

  async #boundary(stage: Boundary['stage']): Promise<void> {
    const { onBoundary } = this.#env;
    if (onBoundary !== null)
      await onBoundary({ address: this.object.address, effect: null, stage });
  }
}

/** An actor that can only say why it can't go on. */
export function unusable(reason: string, cause: unknown): TurnResult {
  return { how: 'unusable', error: new TroupeError('actor/crashed', reason, {}, cause) };
}

/** What an error of the journal means; anything that is not one is thrown on: a crash. */
function failure(error: unknown): TurnResult {
  if (!(error instanceof TroupeError)) throw error;
  if (error.code === 'shard/not-owner') return { how: 'not-owner', error };
  if (error.code === 'actor/bad-snapshot') return { how: 'unusable', error };
  if (UNKNOWN_OUTCOME.has(error.code)) return { how: 'store-failed', error };
  if (UNSTORABLE.has(error.code)) return { how: 'refused', error };
  throw error;
}
