// Where an object stands in the API.
import { usageError } from './failure.ts';

export type Noun = 'instance' | 'network' | 'artifact' | 'node' | 'namespace';

/** `/instances/REF`. Throws a usage error for a reference that a URL cannot carry. */
export function objectPath(noun: Noun, ref: string): string {
  return `${noun === 'namespace' ? '/auth' : ''}/${noun}s/${segment(ref)}`;
}

/** One segment of a path. `.` and `..` mean something else in every URL, however they are written. */
export function segment(ref: string): string {
  if (ref !== '.' && ref !== '..') return encodeURIComponent(ref);
  throw usageError(`${JSON.stringify(ref)} is neither a name nor a UUID`);
}
