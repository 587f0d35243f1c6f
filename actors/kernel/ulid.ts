// Event ids: ULIDs, which sort by time as text, and within one process in the order they were made.
import type { Random } from './ports.ts';

const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const TIME_CHARS = 10;
const RANDOM_CHARS = 16;

/** Makes ids for wall-clock times; a clock that is set back goes on from the last time instead. */
export function ulidFactory(random: Random): (nowMs: number) => string {
  let lastMs = -1;
  let digits: number[] = [];
  return (nowMs) => {
    if (nowMs > lastMs) {
      lastMs = Math.floor(nowMs);
      // Half of the digits' range stays free above, so that counting up can't overflow.
      digits = Array.from({ length: RANDOM_CHARS }, (_, at) => drawDigit(random, at));
    } else {
      countUp(digits);
    }
    return timePart(lastMs) + digits.map((digit) => ALPHABET.charAt(digit)).join('');
  };
}

function drawDigit(random: Random, at: number): number {
  return Math.floor(random.number() * (at === 0 ? 16 : 32));
}

function timePart(ms: number): string {
  let left = ms;
  let text = '';
  for (let at = 0; at < TIME_CHARS; at++) {
    text = ALPHABET.charAt(left % 32) + text;
    left = Math.floor(left / 32);
  }
  return text;
}

function countUp(digits: number[]): void {
  for (let at = digits.length - 1; at >= 0; at--) {
    const digit = (digits[at] ?? 0) + 1;
    digits[at] = digit % 32;
    if (digit < 32) return;
  }
}
