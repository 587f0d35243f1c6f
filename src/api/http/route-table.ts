// Finds a route by method and path.
import type { Route } from './route.ts';

export type Match =
  | {
      readonly kind: 'route';
      readonly route: Route;
      readonly params: Readonly<Record<string, string>>;
    }
  | { readonly kind: 'no-path' }
  | { readonly kind: 'no-method'; readonly allowed: readonly string[] };

interface Row {
  readonly segments: readonly string[];
  readonly route: Route;
}

export class RouteTable {
  /** By first segment, which is never a variable, and number of segments: what cannot match is not looked at. */
  readonly #rows = new Map<string, Row[]>();

  constructor(routes: readonly Route[]) {
    for (const route of routes) {
      const segments = route.path.split('/').slice(1);
      const key = keyOf(segments);
      const rows = this.#rows.get(key) ?? [];
      rows.push({ segments, route });
      this.#rows.set(key, rows);
    }
  }

  find(method: string, path: string): Match {
    const segments = decodeSegments(path);
    if (segments === undefined) return { kind: 'no-path' };
    const rows = this.#rows.get(keyOf(segments)) ?? [];
    const fitting = rows.filter((row) => fits(row, segments));
    if (fitting.length === 0) return { kind: 'no-path' };
    const row = fitting.find(({ route }) => route.method === method);
    if (row === undefined) {
      return { kind: 'no-method', allowed: fitting.map(({ route }) => route.method) };
    }
    return { kind: 'route', route: row.route, params: paramsOf(row, segments) };
  }
}

function keyOf(segments: readonly string[]): string {
  return `${segments.length} ${segments[0]}`;
}

/** Undefined when the path is not valid percent-encoding. */
function decodeSegments(path: string): string[] | undefined {
  try {
    return path.split('/').slice(1).map(decodeURIComponent);
  } catch {
    return undefined;
  }
}

function fits(row: Row, segments: readonly string[]): boolean {
  return row.segments.every((segment, index) =>
    segment.startsWith(':') ? segments[index] !== '' : segment === segments[index],
  );
}

function paramsOf(row: Row, segments: readonly string[]): Record<string, string> {
  const pairs = row.segments.flatMap((segment, index) =>
    segment.startsWith(':') ? [[segment.slice(1), segments[index] ?? '']] : [],
  );
  return Object.fromEntries(pairs) as Record<string, string>;
}
