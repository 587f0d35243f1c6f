// What a client of the event stream asks for, and what of it it may see.
//
// A1  A subscription is about one namespace: the caller's own unless it names another; about all only for system.
// A2  Another namespace's is refused unless it trusts the caller, and then shows what trust opens: its artifacts and the
//     namespace itself. An artifact that is shared can be asked for by its id.
// A3  What is nobody's (nodes, blobs) is system's.
// A4  Who may not see something reads the same as when it were not there.
import { SYSTEM } from '../../../actors/namespace/state.ts';
import { Compile } from 'typebox/compile';
import { closed, nullable, oneOf, Type, type Static } from '../../../actors/kernel/schema.ts';
import { matches, type HistoryEvent, type HistoryFilter } from '../../archive/history.ts';
import type { Caller } from '../http/route.ts';
import { isTrusted } from '../identity/access.ts';
import { TYPES } from '../objects/events.ts';
import { badRequest, notFound, type ApiServices } from '../services.ts';
import { revisionOf } from './resume.ts';

const Asked = closed({
  /** Whose events: a namespace's. Left out: the caller's own; for system everybody's. */
  namespace: Type.Optional(nullable(Type.String())),
  /** Of objects of one kind, or of one object. */
  kind: Type.Optional(nullable(Type.String())),
  id: Type.Optional(nullable(Type.String())),
  types: Type.Optional(nullable(Type.Array(oneOf(TYPES), { maxItems: TYPES.length }))),
  /** A resume token, a revision, or `now`, which is what it is when left out. */
  after: Type.Optional(nullable(Type.Union([Type.String(), Type.Integer({ minimum: 0 })]))),
});
const compiled = Compile(Asked);

/** What trust opens of another namespace (contract: conventions 6). */
const OPENED_BY_TRUST: readonly string[] = ['artifact', 'namespace'];

export interface Subscription {
  readonly filter: HistoryFilter;
  /** Kinds that may be seen of what the filter lets through; null: all. */
  readonly kinds: readonly string[] | null;
  /** Null: from now on. */
  readonly after: number | null;
  /** The same for all that show the same. */
  readonly key: string;
  /** Why it may no longer be had; null: it may. */
  readonly refusal: () => string | null;
}

/** Reads the first frame. Errors: 400; 404 for what the caller may not see. */
export function subscription(
  services: ApiServices,
  caller: Caller,
  frame: Uint8Array,
): Subscription {
  const asked = parsed(frame);
  const filter = filterOf(services, caller, asked);
  const kinds = kindsOf(services, caller, filter);
  const key = JSON.stringify([filter.namespace, filter.kind, filter.id, filter.types, kinds]);
  const after = afterOf(asked.after ?? 'now');
  return { filter, kinds, after, key, refusal: () => refusal(services, caller, filter) };
}

/** Whether the subscription shows the event. */
export function shows({ filter, kinds }: Subscription, event: HistoryEvent): boolean {
  return matches(filter, event) && (kinds === null || kinds.includes(event.kind));
}

function parsed(frame: Uint8Array): Static<typeof Asked> {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(frame).toString());
  } catch {
    throw badRequest('the first frame should be a JSON object that says what is subscribed to');
  }
  if (compiled.Check(value)) return value;
  const [first] = compiled.Errors(value);
  const where = first?.instancePath.slice(1) || 'the subscription';
  throw badRequest(`${where} ${first?.message ?? 'is not as expected'}`);
}

function afterOf(after: string | number): number | null {
  if (after === 'now') return null;
  const revision = typeof after === 'number' ? after : revisionOf(after);
  if (revision !== undefined && Number.isSafeInteger(revision)) return revision;
  throw badRequest('after should be a resume token, a revision or "now"');
}

function filterOf(
  services: ApiServices,
  caller: Caller,
  { namespace: asked, kind, id, types }: Static<typeof Asked>,
): HistoryFilter {
  if (typeof id === 'string' && typeof kind !== 'string') {
    throw badRequest('id needs kind: which sort of object it is the id of');
  }
  const namespace = asked ?? (kind === 'artifact' ? sharer(services, caller, id) : undefined);
  const whose = namespace ?? (caller.namespace === SYSTEM ? undefined : caller.namespace);
  const filter = {
    ...(whose === undefined ? {} : { namespace: whose }),
    ...(typeof kind === 'string' ? { kind } : {}),
    ...(typeof id === 'string' ? { id } : {}),
    ...(types === undefined || types === null ? {} : { types: types.toSorted() }),
  };
  if (refusal(services, caller, filter) !== null) throw notFound('namespace');
  return filter;
}

/** The namespace of an artifact of another's that the caller may read; undefined: it is no such (A4). */
function sharer(
  services: ApiServices,
  caller: Caller,
  id: string | null | undefined,
): string | undefined {
  if (typeof id !== 'string' || caller.namespace === SYSTEM) return undefined;
  const namespace = services.read.artifacts.get(id)?.state.namespace;
  if (namespace === undefined) return undefined;
  return refusal(services, caller, { namespace, kind: 'artifact', id }) === null
    ? namespace
    : undefined;
}

/** Null: it may be had. */
function refusal(services: ApiServices, caller: Caller, filter: HistoryFilter): string | null {
  const { namespace, kind, id } = filter;
  if (caller.namespace === SYSTEM || namespace === caller.namespace) return null;
  if (namespace !== undefined && isTrusted(services, caller, namespace)) return null;
  const isShared =
    kind === 'artifact' && services.read.artifacts.get(id ?? '')?.state.shared === true;
  return isShared ? null : 'what it shows may no longer be seen';
}

function kindsOf(
  { read }: ApiServices,
  caller: Caller,
  { namespace, kind, id }: HistoryFilter,
): readonly string[] | null {
  if (caller.namespace === SYSTEM || namespace === caller.namespace) return null;
  const isOneArtifact = kind === 'artifact' && read.artifacts.get(id ?? '') !== undefined;
  return isOneArtifact ? ['artifact'] : OPENED_BY_TRUST;
}
