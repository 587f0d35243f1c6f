// What a kind of object is: data and pure functions, nothing that acts.
//
// K1  transition() is pure: no I/O, no clock but turn.now, no randomness but turn.random().
// K2  Effects are derived from the state, never from the message: effects(state) lists what ought to
//     be running now. After a turn the runtime starts what is new, aborts what is gone. So a crash,
//     a restart, an upgrade and a repair are one path: read the snapshot, run what it implies.
// K3  An effect is named by `name` and `key`; the same pair is not run twice by one activation once it
//     has succeeded. A change that must be carried out again changes the key (usually the generation).
// K4  A passing state says until when, why, and what message cancels it (passing()).
// K5  State, messages and events are plain data; they survive any codec and compare by value.
import type { ErrorCode } from './errors.ts';
import type { Json, JsonObject } from './json.ts';

/** `kind/id`; ids may hold further slashes (an executor's address names its node first). */
export interface Address {
  readonly kind: string;
  readonly id: string;
}

/**
 * An address that says what may be sent to it: the compiler then checks each ask and tell. `takes` exists
 * for the compiler only. Each kind exports a function that makes its references.
 */
export interface Ref<M extends Message> extends Address {
  readonly takes?: (message: M) => void;
}

export function formatAddress(address: Address): string {
  return `${address.kind}/${address.id}`;
}

/** Undefined when the text has no kind or no id. */
export function parseAddress(text: string): Address | undefined {
  const slash = text.indexOf('/');
  if (slash <= 0 || slash === text.length - 1) return undefined;
  return { kind: text.slice(0, slash), id: text.slice(slash + 1) };
}

/** Every message of every kind is a member of a union discriminated by `kind`. */
export interface Message {
  readonly kind: string;
}

/** What the runtime itself tells an actor; every kind's union includes it. */
export type KernelMessage =
  /** An effect gave up: refused for good, or still failing at its deadline. */
  | {
      readonly kind: 'effect-failed';
      readonly effect: string;
      readonly key: string;
      readonly code: ErrorCode;
      readonly reason: string;
    }
  /** The time that timer(state) or passing(state) named has come. */
  | { readonly kind: 'time-reached'; readonly atMs: number };

export type EventType =
  | 'audit'
  | 'mutate'
  | 'status'
  | 'usage'
  | 'resources'
  | 'prune'
  | 'historic';

/** An event as a transition records it; the runtime adds time, node and trace id. */
export interface EventDraft {
  readonly type: EventType;
  readonly message: string;
  readonly extra?: JsonObject;
  readonly durationMs?: number;
}

/** What a turn knows besides state and message. */
export interface Turn {
  readonly id: string;
  /** Wall clock, ms since the epoch. */
  readonly now: number;
  /** Uniform in [0, 1); seeded in tests and simulation. */
  readonly random: () => number;
}

export interface Refusal {
  readonly code: ErrorCode;
  readonly reason: string;
}

/** The outcome of a turn. A refusal leaves state, events and effects untouched. */
export interface Step<S> {
  /** Null removes the object and its index for good (hard deletion). */
  readonly state: S | null;
  readonly events: readonly EventDraft[];
  readonly reply: Json;
  readonly refusal: Refusal | null;
}

/** The next state, the events to record with it, and the answer to whoever asked. */
export function next<S>(
  state: S | null,
  events: readonly EventDraft[] = [],
  reply: Json = null,
): Step<S> {
  return { state, events, reply, refusal: null };
}

/** Declines a message: expected, not a crash. The asker gets the code, the state stays. */
export function refuse<S>(state: S, code: ErrorCode, reason: string): Step<S> {
  return { state, events: [], reply: null, refusal: { code, reason } };
}

/** An effect that ought to be running; see K3 for the key. */
export interface Wanted<E extends string> {
  readonly name: E;
  readonly key: string;
  /** Effects of one name run one by one; those of different lanes side by side. */
  readonly lane?: string;
}

/** Why an object is on its way, until when, and how to call it off. */
export interface Passing<M> {
  readonly reason: string;
  readonly sinceMs: number;
  /** Null when it ends with what others decide, such as a deletion that waits for the object's users to go. */
  readonly deadlineAtMs: number | null;
  /** The message that cancels it (for most kinds: delete); null when it is itself the calling-off. */
  readonly cancel: M | null;
}

/** Past its deadline; never for what has none. */
export function isLate(passing: Passing<Message> | null, now: number): passing is Passing<Message> {
  const deadlineAtMs = passing?.deadlineAtMs ?? null;
  return deadlineAtMs !== null && deadlineAtMs <= now;
}

export interface EffectPolicy {
  /** How long the effect may keep failing before it is given up, from its first attempt. */
  readonly deadlineMs: number;
  /** First pause between attempts; doubles with jitter up to maxBackoffMs. */
  readonly backoffMs: number;
  readonly maxBackoffMs: number;
}

/** Ten minutes of trying, 0.2 s to 10 s apart: what most effects want. */
export const PATIENT: EffectPolicy = { deadlineMs: 600_000, backoffMs: 200, maxBackoffMs: 10_000 };
/** One minute of trying: for effects that somebody waits for. */
export const PROMPT: EffectPolicy = { deadlineMs: 60_000, backoffMs: 100, maxBackoffMs: 2_000 };

/** What a crash (a bug or a broken environment, not a refusal) leads to. */
export type CrashDecision = 'restart' | 'park' | 'stop-daemon';

/** A row of the name index, kept in the same transaction as the snapshot. */
export interface IndexEntry {
  readonly namespace: string;
  readonly name: string;
}

export interface SnapshotFormat<S> {
  /** Version that this code writes; starts at 1. */
  readonly schema: number;
  /** Checks a value of the current schema; throws TroupeError `actor/bad-snapshot` when it is not one. */
  decode(value: unknown): S;
  /** migrations[n] turns a value of schema n into one of n + 1. Never edited after release. */
  readonly migrations: Readonly<Record<number, (old: unknown) => unknown>>;
}

export interface Kind<S, M extends Message, E extends string> {
  readonly kind: string;
  /** 'sharded': runs on the shard's owner. 'pinned': runs on the node that the id names. */
  readonly placement: 'sharded' | 'pinned';
  /** The state of an object that does not exist yet. Messages other than a create are refused on it. */
  readonly initial: S;
  /** Accepts a message from the wire or refuses it with `actor/bad-message`. */
  decodeMessage(value: unknown): M | KernelMessage;
  transition(state: S, message: M | KernelMessage, turn: Turn): Step<S>;
  effects(state: S): readonly Wanted<E>[];
  readonly policies: Readonly<Record<E, EffectPolicy>>;
  passing(state: S): Passing<M> | null;
  /** When to be told `time-reached` next (besides the deadline of passing()), or null. */
  timer(state: S): number | null;
  index(state: S): IndexEntry | null;
  onCrash(error: unknown, restarts: number): CrashDecision;
  /** The state of an object parked after crashes: in error, with the reason. */
  parked(state: S, reason: string, now: number): S;
  readonly snapshot: SnapshotFormat<S>;
}

/** Identity at run time; checks a definition's types where it is written. */
export function defineKind<S, M extends Message, E extends string>(
  kind: Kind<S, M, E>,
): Kind<S, M, E> {
  return kind;
}

/** Restarts with back-off five times in a row, then parks: the policy most kinds write down. */
export function restartThenPark(_error: unknown, restarts: number): CrashDecision {
  return restarts < 5 ? 'restart' : 'park';
}

/** Never gives up: for what must be so as long as the state says so (a segment, a domain). */
export const STANDING: EffectPolicy = {
  deadlineMs: Infinity,
  backoffMs: 500,
  maxBackoffMs: 30_000,
};
