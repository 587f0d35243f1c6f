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
  /** By number of segments: what cannot match is not looked at. */
  readonly #rows = new Map<number, Row[]>();

  constructor(routes: readonly Route[]) {
    for (const route of routes) {
      const segments = route.path.split('/').slice(1);
      const rows = this.#rows.get(segments.length) ?? [];
      rows.push({ segments, route });
      this.#rows.set(segments.length, rows);
    }
  }

  find(method: string, path: string): Match {
    const segments = decodeSegments(path);
    if (segments === undefined) return { kind: 'no-path' };
    const fitting = (this.#rows.get(segments.length) ?? []).filter((row) => fits(row, segments));
    if (fitting.length === 0) return { kind: 'no-path' };
    const row = fitting.find(({ route }) => route.method === method);
    if (row === undefined) {
      return { kind: 'no-method', allowed: fitting.map(({ route }) => route.method) };
    }
    return { kind: 'route', route: row.route, params: paramsOf(row, segments) };
  }
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
