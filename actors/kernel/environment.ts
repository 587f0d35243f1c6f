// What all actors of one runtime share.
import type { Clock } from './clock.ts';
import type { Address } from './kind.ts';
import type { Journal, Log, Ownership, Random, Router } from './ports.ts';
import type { Stats } from './stats.ts';
import type { ActorSystem } from './system.ts';
import type { Timers } from './timers.ts';

/** Bounds of a runtime; everything has one. */
export interface Limits {
  /** Messages that may wait for one actor. */
  readonly mailbox: number;
  /** How long an ask waits when its sender does not say. */
  readonly askTimeoutMs: number;
  /** An actor with nothing to do leaves memory after this long without a message. */
  readonly idleMs: number;
  /** Crashes further back than this are forgiven. */
  readonly restartWindowMs: number;
  /** Pause before the first restart; doubles up to the maximum. Also between attempts to reach the store. */
  readonly backoffMs: number;
  readonly maxBackoffMs: number;
  /** How long a stop or a restart waits for turns and effects that do not end when told to. */
  readonly stopDeadlineMs: number;
}

export const LIMITS: Limits = {
  mailbox: 1_000,
  askTimeoutMs: 10_000,
  idleMs: 600_000,
  restartWindowMs: 600_000,
  backoffMs: 100,
  maxBackoffMs: 10_000,
  stopDeadlineMs: 15_000,
};

/**
 * A point where a crash must do no harm. `before-write` and `written` surround a turn's write, `before`
 * and `performed` an effect's attempt.
 */
export interface Boundary {
  readonly address: Address;
  /** Null for a turn. */
  readonly effect: string | null;
  readonly stage: 'before-write' | 'written' | 'before' | 'performed';
}

export interface Environment {
  readonly node: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly journal: Journal;
  readonly ownership: Ownership;
  readonly log: Log;
  readonly limits: Limits;
  readonly timers: Timers;
  readonly system: ActorSystem;
  readonly stats: Stats;
  /** Sortable, unique. */
  readonly eventId: (nowMs: number) => string;
  readonly router: () => Router;
  /** For crash tests: awaited at every boundary. */
  readonly onBoundary: ((point: Boundary) => void | Promise<void>) | null;
  /** A kind has decided that its crash stops the daemon. */
  readonly onFatal: (error: unknown, address: Address) => void;
}
