// How far long work is, how fast it goes, and how long it still takes: told now and then, not with each byte.
//
// P1  Told: a new step, that bytes have begun to come, each further tenth but no two within LEAST_GAP_MS, and after LONGEST_GAP_MS in
//     any case.
// P2  The rate is of the time since the last telling, so that a server that has become slow is seen as slow.
import type { Clock } from '../kernel/clock.ts';
import type { Progress } from '../blob/state.ts';

const LEAST_GAP_MS = 1_000;
const LONGEST_GAP_MS = 15_000;

interface Done {
  readonly step: string;
  readonly doneBytes: number;
  /** Null: not known. */
  readonly totalBytes: number | null;
}

interface Point {
  readonly step: string;
  readonly doneBytes: number;
  readonly atMono: number;
}

/** Takes in all progress, and hands on what is worth telling. */
export function progressMeter(
  clock: Pick<Clock, 'monoMs'>,
  tell: (progress: Progress) => void,
): (done: Done) => void {
  let last: Point = { step: '', doneBytes: 0, atMono: 0 };
  let bytesPerSecond: number | null = null;
  return ({ step, doneBytes, totalBytes }) => {
    const atMono = clock.monoMs();
    const isNew = step !== last.step;
    if (!isNew && !isWorthTelling(last, { doneBytes, totalBytes, atMono })) return;
    const gapMs = atMono - last.atMono;
    if (isNew) bytesPerSecond = null;
    else if (gapMs > 0) bytesPerSecond = rateOf(doneBytes - last.doneBytes, gapMs);
    last = { step, doneBytes, atMono };
    const percent = percentOf(doneBytes, totalBytes);
    const secondsLeft = leftOf(doneBytes, totalBytes, bytesPerSecond);
    tell({ step, percent, doneBytes, totalBytes, bytesPerSecond, secondsLeft });
  };
}

function isWorthTelling(
  last: Point,
  now: { readonly doneBytes: number; readonly totalBytes: number | null; readonly atMono: number },
): boolean {
  const { doneBytes, totalBytes, atMono } = now;
  if (doneBytes === last.doneBytes) return false;
  if (last.doneBytes === 0) return true;
  const gapMs = atMono - last.atMono;
  if (gapMs >= LONGEST_GAP_MS) return true;
  return (
    gapMs >= LEAST_GAP_MS && tenth(doneBytes, totalBytes) !== tenth(last.doneBytes, totalBytes)
  );
}

function tenth(doneBytes: number, totalBytes: number | null): number {
  return Math.floor((percentOf(doneBytes, totalBytes) ?? 0) / 10);
}

function percentOf(doneBytes: number, totalBytes: number | null): number | null {
  return totalBytes === null || totalBytes === 0
    ? null
    : Math.floor((100 * doneBytes) / totalBytes);
}

function rateOf(bytes: number, ms: number): number {
  return Math.max(0, Math.round((bytes * 1000) / ms));
}

function leftOf(doneBytes: number, totalBytes: number | null, rate: number | null): number | null {
  if (totalBytes === null || rate === null || rate === 0) return null;
  return Math.max(0, Math.round((totalBytes - doneBytes) / rate));
}
