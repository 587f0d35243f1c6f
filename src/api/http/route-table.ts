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
  /** Its last variable takes all that is left of the path: `:name+`. */
  readonly isOpen: boolean;
}

export class RouteTable {
  /** By first segment, which is never a variable: what cannot match is not looked at. */
  readonly #rows = new Map<string, Row[]>();

  constructor(routes: readonly Route[]) {
    for (const route of routes) {
      const segments = route.path.split('/').slice(1);
      const [first = ''] = segments;
      const rows = this.#rows.get(first) ?? [];
      rows.push({ segments, route, isOpen: route.path.endsWith('+') });
      this.#rows.set(first, rows);
    }
  }

  find(method: string, path: string): Match {
    const segments = decodeSegments(path);
    if (segments === undefined) return { kind: 'no-path' };
    const rows = this.#rows.get(segments[0] ?? '') ?? [];
    const fitting = rows.filter((row) => fits(row, segments));
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
  const { length } = row.segments;
  if (row.isOpen ? segments.length < length : segments.length !== length) return false;
  return row.segments.every((segment, index) =>
    segment.startsWith(':') ? segments[index] !== '' : segment === segments[index],
  );
}

function paramsOf({ segments: named, isOpen }: Row, segments: readonly string[]) {
  const params: Record<string, string> = {};
  for (const [index, name] of named.entries()) {
    if (!name.startsWith(':')) continue;
    const isRest = isOpen && index === named.length - 1;
    const value = isRest ? segments.slice(index).join('/') : (segments[index] ?? '');
    params[variableName(name)] = value;
  }
  return params;
}

/** Of a segment that is a variable. */
function variableName(segment: string): string {
  return segment.replace(/^:|\+$/g, '');
}
