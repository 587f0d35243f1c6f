// What is new in a growing log of which only the last part can be asked for: the API has no cursor for console bytes, so
// two windows are laid over each other.

export interface Fresh<T> {
  readonly items: T;
  /** Nothing of the earlier window was left in the later one: something may be missing in between. */
  readonly isGap: boolean;
}

/**
 * The bytes that came after the window `earlier`, which ended where the list ended then. An overlap shorter than
 * `trustedBytes` counts only when it is all of `earlier`: a few equal bytes are chance.
 */
export function freshBytes(earlier: Buffer, later: Buffer, trustedBytes: number): Fresh<Buffer> {
  const least = Math.min(trustedBytes, earlier.length);
  for (
    let shared = Math.min(earlier.length, later.length);
    shared >= least && shared > 0;
    shared--
  ) {
    const tail = earlier.subarray(earlier.length - shared);
    if (tail.equals(later.subarray(0, shared))) {
      return { items: later.subarray(shared), isGap: false };
    }
  }
  return { items: later, isGap: earlier.length > 0 && later.length > 0 };
}
