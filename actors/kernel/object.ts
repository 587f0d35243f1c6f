// What all stored objects have in common: when they came to their phase, why they failed, and when a
// deleted one is forgotten.
import type { ErrorCode } from './errors.ts';
import { closed, nullable, Type, type Static } from './schema.ts';

/** Why an object is in error, in words for its owner. The code is one of errors.ts. */
export const Failure = closed({ code: Type.String(), reason: Type.String() });
export type Failure = Static<typeof Failure>;

/** Members of every state. */
export const lifeMembers = {
  /** When the phase was entered, ms since the epoch. */
  sinceMs: Type.Number(),
  /** Deleted objects stay readable until RETENTION_MS after this. */
  deletedAtMs: nullable(Type.Number()),
  failure: nullable(Failure),
  /** Retention is over: claims are being given back, then the object goes. */
  forgetting: Type.Boolean(),
  metadata: Type.Record(Type.String(), Type.Unknown()),
};

export const newLife = {
  sinceMs: 0,
  deletedAtMs: null,
  failure: null,
  forgetting: false,
  metadata: {},
} as const;

/** How long a deleted object can still be read (contract: conventions 8.3). */
export const RETENTION_MS = 3_600_000;

export function failure(code: ErrorCode, reason: string): Failure {
  return { code, reason };
}

interface Mortal {
  readonly deletedAtMs: number | null;
  readonly forgetting: boolean;
}

/** When a deleted object is to be forgotten; null for one that is not deleted. */
export function forgetAtMs(state: Mortal): number | null {
  if (state.deletedAtMs === null || state.forgetting) return null;
  return state.deletedAtMs + RETENTION_MS;
}

export function isForgettable(state: Mortal, now: number): boolean {
  const atMs = forgetAtMs(state);
  return atMs !== null && atMs <= now;
}
