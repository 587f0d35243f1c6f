// The past of an object, which is ours alone: what it was, what changed, and which requests led to what it is.
import type { Json, JsonObject } from '../../../actors/kernel/json.ts';
import { closed, nullable, Type } from '../../../actors/kernel/schema.ts';
import { SYSTEM } from '../../../actors/namespace/state.ts';
import type { Moment } from '../../archive/archive-reader.ts';
import type { Blame, EventRow, VersionRow } from '../../archive/record.ts';
import { EventView, eventView } from '../objects/events.ts';
import { json, optional, route, type ApiRequest, type Route } from '../http/route.ts';
import { badRequest, notFound, type ApiServices } from '../services.ts';
import { differences } from './changes.ts';
import { findPast, type PastObject } from './past-object.ts';
import { HIDDEN, withoutSecrets } from './secrets.ts';

/** Requests that led to the present state: the newest of them. */
const MAX_CAUSES = 20;
const MAX_EVENTS = 100;

const revision = optional(Type.Integer({ minimum: 0 }));
/** Seconds since the epoch, or a date as ISO 8601 writes it. */
const time = optional(Type.Union([Type.Number(), Type.String({ maxLength: 64 })]));

const momentMembers = {
  /** Store revision of the change that made it so. */
  revision: Type.Integer(),
  /** Seconds since the epoch. */
  time: Type.Number(),
  /** Of the request that changed it. */
  'request-id': Type.String(),
};
const objectMembers = { kind: Type.String(), id: Type.String(), namespace: Type.String() };

export const PastView = closed({
  ...objectMembers,
  ...momentMembers,
  /** Null: it had been removed for good. */
  state: nullable(Type.Record(Type.String(), Type.Unknown())),
});

export const DiffView = closed({
  ...objectMembers,
  from: closed(momentMembers),
  to: closed(momentMembers),
  changes: Type.Array(
    closed({ path: Type.String(), before: Type.Unknown(), after: Type.Unknown() }),
  ),
});

export const WhyView = closed({
  ...objectMembers,
  ...momentMembers,
  /** Requests, newest first, with the members of the state that they gave their present value. */
  causes: Type.Array(
    closed({
      ...momentMembers,
      members: Type.Array(Type.String()),
      /** What followed from the request, on all objects that the caller may see, in order. */
      events: Type.Array(
        closed({ ...EventView.properties, kind: Type.String(), id: Type.String() }),
      ),
    }),
  ),
  /** Members that have been as they are for longer than history is kept. */
  older: Type.Array(Type.String()),
});

export function historyRoutes(services: ApiServices): Route[] {
  return [
    route('GET /history/:kind/:ref', {
      summary: 'What an object was at a store revision or time, or is now; removed ones too',
      answer: { json: PastView },
      rule: 'own',
      body: { revision, time },
      handle: async (request) => {
        const object = await found(services, request);
        const moment = momentOf(request.body.revision, request.body.time);
        return json(pastView(object, await versionAt(services, object, moment)));
      },
    }),
    route('GET /history/:kind/:ref/diff', {
      summary: 'What changed on an object between two store revisions or times',
      answer: { json: DiffView },
      rule: 'own',
      body: { from_revision: revision, from_time: time, to_revision: revision, to_time: time },
      handle: async (request) => {
        const { body } = request;
        const object = await found(services, request);
        const from = momentOf(body.from_revision, body.from_time);
        if (from === null) throw badRequest('no from_revision or from_time specified');
        const to = momentOf(body.to_revision, body.to_time);
        const [before, after] = await Promise.all([
          versionAt(services, object, from),
          versionAt(services, object, to),
        ]);
        return json(diffView(object, before, after));
      },
    }),
    route('GET /history/:kind/:ref/why', {
      summary: 'Which requests made an object what it is, and what followed from them',
      answer: { json: WhyView },
      rule: 'own',
      handle: async (request) => json(await why(services, request)),
    }),
  ];
}

function found(
  services: ApiServices,
  { caller, params }: Pick<ApiRequest<unknown>, 'caller' | 'params'>,
): Promise<PastObject> {
  return findPast(services, caller, { kind: params['kind'] ?? '', ref: params['ref'] ?? '' });
}

/** Null: now. Errors: 400. */
function momentOf(
  at: number | null | undefined,
  date: number | string | null | undefined,
): Moment | null {
  const hasTime = date !== undefined && date !== null;
  if (at !== undefined && at !== null) {
    if (hasTime) throw badRequest('a revision and a time are given: leave one out');
    return { revision: at };
  }
  if (!hasTime) return null;
  const atMs = typeof date === 'number' ? date * 1000 : Date.parse(date);
  if (Number.isFinite(atMs)) return { atMs };
  throw badRequest(`expected seconds since the epoch or an ISO 8601 date, found ${date}`);
}

/** Error: 404 when it was not there yet, or that is no longer known. */
async function versionAt(
  { past }: ApiServices,
  object: PastObject,
  moment: Moment | null,
): Promise<VersionRow> {
  const version = await past.reader.version(object, moment);
  if (version !== null) return version;
  throw notFound(`a ${object.kind} of that id at that time (its history may not reach so far)`);
}

function momentView({
  revision: at,
  atMs,
  trace,
}: Pick<VersionRow, 'revision' | 'atMs' | 'trace'>) {
  return { revision: at, time: atMs / 1000, 'request-id': trace };
}

function objectView({ kind, id, namespace }: PastObject) {
  return { kind, id, namespace };
}

function pastView(object: PastObject, version: VersionRow): JsonObject {
  const { state } = version;
  const shown = state === null ? null : withoutSecrets(state);
  return { ...objectView(object), ...momentView(version), state: shown };
}

function diffView(object: PastObject, before: VersionRow, after: VersionRow): JsonObject {
  // Compared with their secrets, so that their change shows, and told without them.
  const hidden = (state: JsonObject | null) => (state === null ? null : withoutSecrets(state));
  const open = differences(before.state, after.state);
  const told = new Map(
    differences(hidden(before.state), hidden(after.state)).map((one) => [one.path, one]),
  );
  const changes = open.map(({ path }): JsonObject => {
    const one = told.get(path) ?? { before: HIDDEN, after: HIDDEN };
    return { path, before: one.before, after: one.after };
  });
  return { ...objectView(object), from: momentView(before), to: momentView(after), changes };
}

async function why(services: ApiServices, request: ApiRequest<unknown>): Promise<Json> {
  const object = await found(services, request);
  const { reader } = services.past;
  const [version, blame] = await Promise.all([
    versionAt(services, object, null),
    reader.blame(object),
  ]);
  const causes = causesOf(blame).slice(0, MAX_CAUSES);
  const { namespace } = request.caller;
  const visible = namespace === SYSTEM ? null : namespace;
  const told = causes.map(async ({ members, ...moment }): Promise<JsonObject> => {
    const events = await reader.traced(moment.trace, visible, MAX_EVENTS);
    return { ...momentView(moment), members, events: events.map(rowView) };
  });
  const older = blame.flatMap((one) => (one.revision === null ? [one.member] : [])).toSorted();
  const views = await Promise.all(told);
  return { ...objectView(object), ...momentView(version), causes: views, older };
}

interface Cause {
  readonly revision: number;
  readonly atMs: number;
  readonly trace: string;
  readonly members: string[];
}

/** One for each request, newest first, at its last change that still shows. */
function causesOf(blame: readonly Blame[]): Cause[] {
  const causes = new Map<string, Cause>();
  for (const { member, revision: at, atMs, trace } of blame) {
    if (at === null || atMs === null) continue;
    const known = causes.get(trace);
    const members = [...(known?.members ?? []), member].toSorted();
    const isLater = known === undefined || at > known.revision;
    causes.set(trace, isLater ? { revision: at, atMs, trace, members } : { ...known, members });
  }
  return [...causes.values()].toSorted((a, b) => b.revision - a.revision);
}

function rowView({ kind, id, event }: EventRow): JsonObject {
  return { ...eventView(event), kind, id };
}
