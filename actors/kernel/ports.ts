// What the kernel needs from the world; transport and src implement it.
import type { Clock } from './clock.ts';
import type { Address, EventDraft, IndexEntry, Message, Ref } from './kind.ts';
import type { Json } from './json.ts';

/** An event as stored: a draft with what the runtime knows. */
export interface EventRecord extends EventDraft {
  /** Sortable by time; unique. */
  readonly id: string;
  readonly atMs: number;
  readonly node: string;
  readonly trace: string;
}

export interface StoredSnapshot {
  readonly schema: number;
  readonly state: unknown;
  /** Of the request that changed it last: what is carried on after a restart still belongs to it. */
  readonly trace?: string;
}

export interface Loaded {
  readonly snapshot: StoredSnapshot;
  /** Store revision of its last change. */
  readonly revision: number;
}

/** One turn's write: snapshot, events and index in one transaction, guarded by the epoch. */
export interface TurnWrite {
  readonly address: Address;
  readonly epoch: number;
  /** Null: remove the snapshot; the events are the last of the object. */
  readonly snapshot: StoredSnapshot | null;
  readonly events: readonly EventRecord[];
  readonly index: { readonly before: IndexEntry | null; readonly after: IndexEntry | null };
}

/** Where snapshots live. */
export interface Journal {
  load(address: Address): Promise<Loaded | null>;
  /**
   * Resolves to the store revision. Errors: `shard/not-owner` when the epoch is no longer ours (the
   * actor must stop at once), `store/unavailable` (outcome unknown: load again before going on).
   */
  commit(write: TurnWrite): Promise<number>;
}

/** Who may decide for an address, right now and on this daemon. */
export interface Ownership {
  /** The epoch under which this daemon owns the address; null when it does not, or its lease may have ended. */
  epochOf(address: Address): number | null;
}

export interface AskReply {
  readonly value: Json;
  /** Store revision at or after which the change can be read; 0 when nothing was written. */
  readonly revision: number;
}

/** Sends messages to actors, wherever they run. */
export interface Router {
  /** Resolves after the turn's write. Rejects with TroupeError: the refusal's code, or an `actor/*`, `shard/*`, `store/*` one. */
  ask<M extends Message>(to: Ref<M>, message: NoInfer<M>, options: SendOptions): Promise<AskReply>;
  /** Delivered at most once, in order per pair; a loss is counted, not reported. */
  tell<M extends Message>(to: Ref<M>, message: NoInfer<M>, options: SendOptions): void;
}

export interface SendOptions {
  readonly trace: string;
  /** For an ask: how long to wait. Default 10 s. */
  readonly timeoutMs?: number;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
/** One structured line. `fields` carries trace, kind, id, code where they are known. */
export type Log = (
  level: LogLevel,
  message: string,
  fields?: Readonly<Record<string, unknown>>,
) => void;

export interface Random {
  /** Uniform in [0, 1). */
  number(): number;
  /** A UUIDv4. */
  uuid(): string;
}

/** What an effect is given besides the state. */
export interface EffectContext<M> {
  readonly self: Address;
  readonly trace: string;
  readonly epoch: number;
  /** The effect's own: which one it is of those with its name. */
  readonly key: string;
  /** 1 for the first try. */
  readonly attempt: number;
  /** Aborts when the state no longer wants the effect, or the actor stops. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  ask<T extends Message>(to: Ref<T>, message: NoInfer<T>, timeoutMs?: number): Promise<Json>;
  tell<T extends Message>(to: Ref<T>, message: NoInfer<T>): void;
  /** Puts a message into the actor's own mailbox, for progress while the effect goes on. */
  report(message: M): void;
}

/**
 * Carries out one effect; returns the message that states the outcome (undefined: none needed).
 * Throwing a TroupeError with retry `never` gives up at once, anything else is tried again (policy).
 */
export type Performer<S, M> = (state: S, context: EffectContext<M>) => Promise<M | undefined>;
export type Performers<S, M, E extends string> = Readonly<Record<E, Performer<S, M>>>;

/**
 * Values that only one owner may hold in the whole cluster (VNIs, MACs): created if absent in the store, so
 * never given twice, whoever asks.
 */
export interface Claims {
  /** True when `owner` holds the value afterwards (also when it already did); false when another does. */
  claim(space: string, value: string, owner: Address): Promise<boolean>;
  /** Who holds it, as `kind/id`; null: nobody. */
  holder(space: string, value: string): Promise<string | null>;
  /** Quiet when the value is free or somebody else's. */
  release(space: string, value: string, owner: Address): Promise<void>;
}
