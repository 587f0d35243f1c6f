// What a fetch fails with when nobody is left to ask.
import { TroupeError, type ErrorCode } from '../../actors/kernel/errors.ts';
import type { SourceEnd } from './source.ts';

/** What may be otherwise the next time. */
const AGAIN: ReadonlySet<ErrorCode> = new Set(['image/unreachable', 'mesh/overloaded']);

/** Whether asking the node again has a point. */
export function mayBeOtherwise({ code }: SourceEnd): boolean {
  return AGAIN.has(code);
}

export interface Dropped {
  readonly node: string;
  readonly end: SourceEnd;
}

/** With the reason of every node that was dropped. */
export function nobodyLeft(
  blobId: string,
  dropped: readonly Dropped[],
  chunksLeft: number,
): TroupeError {
  const why = dropped.map(({ node, end }) => `${node}: ${end.reason}`).join('; ');
  const text = `blob ${blobId} could not be fetched from its holders; ${why || 'there are none'}`;
  return new TroupeError(verdictOf(dropped.map(({ end }) => end.code)), text, { chunksLeft });
}

/** Unreachable if only one of them is: that one may have it when it is back. */
function verdictOf(codes: readonly ErrorCode[]): ErrorCode {
  if (codes.length === 0) return 'image/missing';
  if (codes.some((code) => AGAIN.has(code))) return 'image/unreachable';
  if (codes.every((code) => code === 'image/missing')) return 'image/missing';
  return codes.includes('image/damaged') ? 'image/damaged' : 'image/unreachable';
}
