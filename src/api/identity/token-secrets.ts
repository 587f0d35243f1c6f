// What tokens are signed with, while it changes. Pure.
//
// S1  A new secret signs only SPREAD_MS after it was made: by then every daemon knows it.
// S2  An old one is accepted until the last token that it signed has run out.
// S3  `at once` ends all tokens there are: for a secret that has got out.
import { TOKEN_LIFETIME_S } from './token.ts';

export interface TokenSecret {
  readonly secret: Uint8Array;
  /** From when it signs, ms since the epoch. */
  readonly signsFromMs: number;
  /** Until when what it has signed counts; null: it is the newest. */
  readonly countsUntilMs: number | null;
}

/** As a daemon knows them. */
export interface TokenSecrets {
  signing(): Uint8Array;
  /** What a token may be signed with; the same objects each time. */
  accepted(): readonly Uint8Array[];
}

export const SPREAD_MS = 30_000;
/** Clocks of machines differ. */
const MARGIN_MS = 60_000;

/** The newest that signs by now; of those that are to sign later the first, when there is no other. */
export function signingSecret(all: readonly TokenSecret[], nowMs: number): TokenSecret | undefined {
  return all.findLast(({ signsFromMs }) => signsFromMs <= nowMs) ?? all[0];
}

export function countingSecrets(all: readonly TokenSecret[], nowMs: number): TokenSecret[] {
  return all.filter(({ countsUntilMs }) => countsUntilMs === null || countsUntilMs > nowMs);
}

/** With a new one; oldest first. Those that nothing is signed with any more are dropped. */
export function rotated(
  all: readonly TokenSecret[],
  secret: Uint8Array,
  { nowMs, isAtOnce }: { readonly nowMs: number; readonly isAtOnce: boolean },
): TokenSecret[] {
  const signsFromMs = isAtOnce ? nowMs : nowMs + SPREAD_MS;
  const newest = { secret, signsFromMs, countsUntilMs: null };
  if (isAtOnce) return [newest];
  const end = signsFromMs + TOKEN_LIFETIME_S * 1000 + MARGIN_MS;
  const before = countingSecrets(all, nowMs).map((one) => ({
    ...one,
    countsUntilMs: one.countsUntilMs ?? end,
  }));
  return [...before, newest];
}

/** Whether the newest has signed for so long that another is due. */
export function isDue(all: readonly TokenSecret[], nowMs: number, maxAgeMs: number): boolean {
  const newest = all.at(-1);
  return newest === undefined || nowMs - newest.signsFromMs >= maxAgeMs;
}
