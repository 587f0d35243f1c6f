// What differs between two states of an object.
import type { Json, JsonObject } from '../../../actors/kernel/json.ts';

export interface Difference {
  /** Members and positions from the outside in, with dots between them. */
  readonly path: string;
  /** Null too where it was not there. */
  readonly before: Json;
  readonly after: Json;
}

/** In order of their paths; empty: they are the same. */
export function differences(before: JsonObject | null, after: JsonObject | null): Difference[] {
  return [...compare('', before, after)].toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

function* compare(
  path: string,
  before: Json | undefined,
  after: Json | undefined,
): Generator<Difference> {
  if (isNode(before) && isNode(after) && Array.isArray(before) === Array.isArray(after)) {
    const [one, other] = [membersOf(before), membersOf(after)];
    for (const name of new Set([...one.keys(), ...other.keys()])) {
      const inner = path === '' ? name : `${path}.${name}`;
      yield* compare(inner, one.get(name), other.get(name));
    }
    return;
  }
  if (JSON.stringify(before) === JSON.stringify(after)) return;
  yield { path, before: before ?? null, after: after ?? null };
}

type Node = JsonObject | readonly Json[];

function isNode(value: Json | undefined): value is Node {
  return typeof value === 'object' && value !== null;
}

function membersOf(node: Node): Map<string, Json | undefined> {
  return new Map(Object.entries<Json | undefined>(node as JsonObject));
}
