// The layout of the store, built and read back in one place.
//
//   /troupe/<cluster>/members/<node>                  lease-bound: who is there
//   /troupe/<cluster>/owners/<shard>                  lease-bound: who runs the shard
//   /troupe/<cluster>/objects/<kind>/<id>             {schema, state}
//   /troupe/<cluster>/names/<ns>/<kind>/<name>/<id>   index, written with its object
//   /troupe/<cluster>/events/<kind>/<id>/<event>      outbox
//   /troupe/<cluster>/archives/<node>                 how far each archive has recorded
//   /troupe/<cluster>/alloc/<pool>/<item>             created if absent, so never given twice
//
// Y1  A segment may hold any text: everything but ASCII letters, digits and -_.!~*'() is
//     percent-encoded, so no segment holds a slash, and keys are ASCII.
// Y2  A prefix ends with a slash, so that kind `net` never lists kind `network`.
// Y3  parse(build(x)) is x, and parse() of anything else is null: it never throws.
import { TroupeError } from '../../actors/kernel/errors.ts';

/** What a key of the layout stands for. */
export type ParsedKey =
  | { readonly area: 'members' | 'archives'; readonly node: string }
  | { readonly area: 'owners'; readonly shard: number }
  | { readonly area: 'objects'; readonly kind: string; readonly id: string }
  | {
      readonly area: 'names';
      readonly namespace: string;
      readonly kind: string;
      readonly name: string;
      readonly id: string;
    }
  | { readonly area: 'events'; readonly kind: string; readonly id: string; readonly event: string }
  | { readonly area: 'alloc'; readonly pool: string; readonly item: string };

/** Builds and reads the keys of one cluster. Builders refuse empty or unpaired-surrogate text with store/bad-value. */
export interface Keys {
  /** Everything of the cluster. */
  readonly root: string;
  member(node: string): string;
  members(): string;
  owner(shard: number): string;
  owners(): string;
  object(kind: string, id: string): string;
  /** All objects, or those of one kind. */
  objects(kind?: string): string;
  name(namespace: string, kind: string, name: string, id: string): string;
  /** Prefix of the index, narrowed by as much as is given, from the left. */
  names(namespace?: string, kind?: string, name?: string): string;
  event(kind: string, id: string, event: string): string;
  /** All events, or those of one object. */
  events(kind?: string, id?: string): string;
  archive(node: string): string;
  archives(): string;
  alloc(pool: string, item: string): string;
  allocs(pool?: string): string;
  parse(key: string): ParsedKey | null;
}

/** The keys of the cluster called `cluster`. */
export function clusterKeys(cluster: string): Keys {
  const root = `/troupe/${segment(cluster)}/`;
  const key = (...segments: string[]) => root + segments.map(segment).join('/');
  const prefix = (...segments: (string | undefined)[]) => `${key(...given(segments))}/`;
  return {
    root,
    member: (node) => key('members', node),
    members: () => prefix('members'),
    owner: (shard) => key('owners', String(shard)),
    owners: () => prefix('owners'),
    object: (kind, id) => key('objects', kind, id),
    objects: (kind) => prefix('objects', kind),
    name: (namespace, kind, name, id) => key('names', namespace, kind, name, id),
    names: (namespace, kind, name) => prefix('names', namespace, kind, name),
    event: (kind, id, event) => key('events', kind, id, event),
    events: (kind, id) => prefix('events', kind, id),
    archive: (node) => key('archives', node),
    archives: () => prefix('archives'),
    alloc: (pool, item) => key('alloc', pool, item),
    allocs: (pool) => prefix('alloc', pool),
    parse: (text) => (text.startsWith(root) ? parseTail(text.slice(root.length)) : null),
  };
}

function segment(text: string): string {
  if (text.length > 0 && text.isWellFormed()) return encodeURIComponent(text);
  const message = `a key segment is non-empty text without unpaired surrogates, found ${JSON.stringify(text)}`;
  throw new TroupeError('store/bad-value', message);
}

/** The segments before the first one left out. */
function given(segments: readonly (string | undefined)[]): string[] {
  const all: string[] = [];
  for (const one of segments) {
    if (one === undefined) break;
    all.push(one);
  }
  return all;
}

function parseTail(tail: string): ParsedKey | null {
  const segments: string[] = [];
  for (const raw of tail.split('/')) {
    const text = unescape(raw);
    if (text === null) return null;
    segments.push(text);
  }
  return parseSegments(segments);
}

function parseSegments([area, a, b, c, d, ...rest]: readonly string[]): ParsedKey | null {
  if (rest.length > 0 || a === undefined) return null;
  if (b === undefined) {
    if (area === 'members' || area === 'archives') return { area, node: a };
    if (area === 'owners' && /^(0|[1-9]\d{0,8})$/.test(a)) return { area, shard: Number(a) };
    return null;
  }
  if (c === undefined) {
    if (area === 'objects') return { area, kind: a, id: b };
    return area === 'alloc' ? { area, pool: a, item: b } : null;
  }
  if (d === undefined) return area === 'events' ? { area, kind: a, id: b, event: c } : null;
  return area === 'names' ? { area, namespace: a, kind: b, name: c, id: d } : null;
}

/** Null unless `raw` is exactly what segment() writes. */
function unescape(raw: string): string | null {
  if (raw.length === 0) return null;
  try {
    const text = decodeURIComponent(raw);
    return encodeURIComponent(text) === raw ? text : null;
  } catch {
    // A lone % or bytes that are not UTF-8: not a key of ours.
    return null;
  }
}
