// Short names of images, such as debian:12, and the addresses that the operator's table has for them (contract: artifacts 6.1).

export interface Shortcut {
  /** A name; one that ends with * stands for all that begin so. */
  readonly pattern: string;
  /** Has `{name}` for the whole name, `{version}` for what comes after its colon. */
  readonly url: string;
}

/** No slash, nothing that climbs: it becomes a part of a path on somebody's server. */
const NAME = /^(?!.*\.\.)[A-Za-z0-9][\w.:+-]{0,99}$/;

/** The address that the name stands for, by the first line of the table that fits; null: it is no name, or unknown. */
export function expandShortcut(table: readonly Shortcut[], name: string): string | null {
  if (!NAME.test(name)) return null;
  const found = table.find(({ pattern }) =>
    pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern,
  );
  if (found === undefined) return null;
  const [, ...version] = name.split(':');
  return found.url.replaceAll('{name}', name).replaceAll('{version}', version.join(':'));
}
