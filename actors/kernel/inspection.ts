// What an operator sees of a live actor: what it does, since when, and what it waits for.
import type { ErrorCode } from './errors.ts';

export interface Failure {
  readonly code: ErrorCode;
  readonly reason: string;
  readonly atMs: number;
}

export interface EffectInspection {
  readonly name: string;
  readonly key: string;
  readonly trace: string;
  /** 'queued' waits for another run of the same name; 'aborting' has been told to end. */
  readonly phase:
    | 'queued'
    | 'performing'
    | 'pausing'
    | 'delivering'
    | 'aborting'
    | 'done'
    | 'failed';
  /** 0 before the first. */
  readonly attempt: number;
  readonly startedAtMs: number | null;
  readonly nextAttemptAtMs: number | null;
  readonly lastError: Failure | null;
}

export interface TurnInspection {
  readonly message: string;
  readonly trace: string;
  readonly sinceMs: number;
}

/** One life of an actor. */
export interface LifeInspection {
  /** Serial number of this life; grows with each restart. */
  readonly activation: number;
  readonly epoch: number;
  readonly activeSinceMs: number;
  /** False: nothing is stored under the address (yet). */
  readonly exists: boolean;
  /** Store revision of the last change; 0 when nothing is stored. */
  readonly revision: number;
  readonly mailboxDepth: number;
  readonly turn: TurnInspection | null;
  readonly effects: readonly EffectInspection[];
  /** When the actor is told `time-reached` next. */
  readonly alarmAtMs: number | null;
  /** When the snapshot is read again after the store did not answer. */
  readonly retryAtMs: number | null;
  readonly waitsFor: Waiting | null;
  readonly lastError: Failure | null;
  /** Of the last message that changed the object. */
  readonly trace: string | null;
}

/** What passing() says of the state. */
export interface Waiting {
  readonly reason: string;
  readonly sinceMs: number;
  /** Null when it ends with what others decide. */
  readonly deadlineAtMs: number | null;
  /** Kind of the message that calls it off; null when none does. */
  readonly cancel: string | null;
}

export type ActorStatus =
  /** Its snapshot is still to be read, for the first time or after a write of unknown outcome. */
  | 'loading'
  | 'active'
  /** Crashed; starts again at retryAtMs. */
  | 'restarting'
  /** Refuses everything with lastError: its snapshot can't be read, or it can't be parked. */
  | 'unusable'
  | 'stopping';

export interface Inspection extends LifeInspection {
  readonly address: string;
  readonly status: ActorStatus;
  /** Restarts within the window that supervision counts. */
  readonly restarts: number;
}

/** An object past the deadline of its passing state, or one that can't go on at all. */
export interface Stuck {
  readonly address: string;
  readonly reason: string;
  readonly sinceMs: number;
  readonly deadlineAtMs: number;
  /** Kind of the message that calls it off; null when no message helps. */
  readonly cancel: string | null;
}

/** An actor that is at work, or that others wait for. */
export interface Busy {
  readonly address: string;
  /** In words: the turn in hand, else an effect under way. */
  readonly doing: string;
  /** Messages that wait for their turn. */
  readonly waiting: number;
}

/** Null: it rests. */
export function busyOf({
  address,
  turn,
  effects,
  mailboxDepth,
  waitsFor,
}: Inspection): Busy | null {
  const underWay = effects.find(({ phase }) => phase !== 'done' && phase !== 'failed');
  if (turn === null && underWay === undefined && mailboxDepth === 0) return null;
  const reason = waitsFor === null ? '' : `: ${waitsFor.reason}`;
  const effect = underWay === undefined ? 'waiting' : `${underWay.name}${reason}`;
  return { address, doing: turn === null ? effect : turn.message, waiting: mailboxDepth };
}
