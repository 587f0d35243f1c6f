// Files that may not be there.

/** For a promise's catch(): undefined when there is no such file; anything else is thrown on. */
export function unlessAbsent(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT') return undefined;
  throw error;
}
