// Two pieces of work side by side that stand or fall together.

/** Waits for both to end. When one fails the other is aborted and waited for; rejects with the first failure. */
export async function together<A, B>(
  signal: AbortSignal,
  first: (signal: AbortSignal) => Promise<A>,
  second: (signal: AbortSignal) => Promise<B>,
): Promise<readonly [A, B]> {
  const other = new AbortController();
  const both = AbortSignal.any([signal, other.signal]);
  const failures: unknown[] = [];
  const note = (error: unknown): never => {
    failures.push(error);
    other.abort();
    throw error;
  };
  const [a, b] = await Promise.allSettled([first(both).catch(note), second(both).catch(note)]);
  if (a.status === 'fulfilled' && b.status === 'fulfilled') return [a.value, b.value];
  throw failures[0];
}
