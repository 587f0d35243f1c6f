// What older clients send and read otherwise, by route (contract: clients 8 and 9, instances 16.3, networks 8.2).
import type { Json, JsonObject } from '../../../actors/kernel/json.ts';
import { closed, nullable, Type, type TProperties } from '../../../actors/kernel/schema.ts';
import type { Collection } from '../../read/collection.ts';
import type { ReadModel } from '../../read/read-model.ts';
import { InstanceView } from '../instances/instance-view.ts';
import { InterfaceView } from '../instances/interface-view.ts';
import { NetworkView } from '../networks/network-view.ts';
import { EventView } from '../objects/events.ts';
import { wholeNumber } from '../objects/whole-number.ts';
import type { AnswerShape } from '../http/route.ts';
import { badRequest } from '../services.ts';

export interface Translation {
  /** Members of the body that are others here. */
  readonly body?: TProperties;
  readonly answer?: AnswerShape;
  /** From the body that came to the one that the row takes. Errors: 400. */
  readonly ask?: (body: Record<string, unknown>) => object;
  readonly show?: Show;
}
type Show = (value: Json, read: ReadModel) => Json;
type ShowOne = (one: JsonObject, read: ReadModel) => Json;

/** When it came to its state, seconds since the epoch. */
const since = { state_updated: Type.Number() };

const OldInterface = closed({ ...InterfaceView.properties, ...since });

const OldInstance = closed({
  ...InstanceView.properties,
  /** All pairs, as JSON text. */
  metadata: Type.String(),
  network_interfaces: Type.Array(OldInterface),
  block_devices: closed({ devices: InstanceView.properties.disks }),
  ...since,
});

const OldNetwork = closed({
  ...NetworkView.properties,
  /** What `vxlan_id` was called. */
  vxid: Type.Integer(),
  /** What `namespace` was called. */
  owner: nullable(Type.String()),
  ...since,
});

const OldEvent = closed({ ...EventView.properties, duration: Type.Integer() });

const ONE_INSTANCE: Translation = { answer: { json: OldInstance }, show: oldInstance };
const INSTANCES: Translation = {
  answer: { json: Type.Array(OldInstance) },
  show: each(oldInstance),
};
const ONE_NETWORK: Translation = { answer: { json: OldNetwork }, show: oldNetwork };
const NETWORKS: Translation = { answer: { json: Type.Array(OldNetwork) }, show: each(oldNetwork) };
const INTERFACES: Translation = {
  answer: { json: Type.Array(OldInterface) },
  show: each(oldInterface),
};
const EVENTS: Translation = { answer: { json: Type.Array(OldEvent) }, show: each(oldEvent) };
const METADATA: Translation = {
  answer: { json: Type.Record(Type.String(), Type.String()) },
  show: texts,
};

export const TRANSLATIONS: Readonly<Record<string, Translation>> = {
  'GET /auth/namespaces': {
    answer: { json: Type.Array(Type.String()) },
    show: each(({ name }) => name ?? null),
  },
  'GET /instances': INSTANCES,
  'POST /instances': {
    ...ONE_INSTANCE,
    body: { metadata: Type.Optional(Type.Unknown()) },
    ask: ({ metadata, video, ...rest }) => ({
      ...rest,
      metadata: pairsOf(metadata),
      video: isUnset(video) ? null : video,
    }),
  },
  'GET /instances/*': ONE_INSTANCE,
  'DELETE /instances/*': ONE_INSTANCE,
  'GET /networks': NETWORKS,
  'POST /networks': ONE_NETWORK,
  'GET /networks/*': ONE_NETWORK,
  'DELETE /networks/*': {
    answer: { json: nullable(OldNetwork) },
    show: (value, read) => (value === null ? null : oldNetwork(value, read)),
  },
  ...ofKinds(['/instances/*', '/networks/*'], 'interfaces', INTERFACES),
  'GET /interfaces/*': { answer: { json: OldInterface }, show: oldInterface },
  ...ofKinds(['/instances/*', '/networks/*', '/artifacts/*', '/nodes/*'], 'events', EVENTS),
  ...ofKinds(
    ['/instances/*', '/networks/*', '/interfaces/*', '/artifacts/*', '/blobs/*', '/nodes/*'],
    'metadata',
    METADATA,
  ),
  ...ofKinds(['/auth/namespaces/*'], 'metadata', METADATA),
};

function ofKinds(paths: readonly string[], what: string, translation: Translation) {
  return Object.fromEntries(paths.map((path) => [`GET ${path}/${what}`, translation] as const));
}

function each(show: ShowOne): Show {
  return (value, read) =>
    Array.isArray(value) ? value.map((one: JsonObject) => show(one, read)) : value;
}

function oldInstance(value: Json, read: ReadModel): JsonObject {
  const view = value as JsonObject;
  const interfaces = view['interfaces'] as readonly JsonObject[];
  const specs = view['disk_spec'] as readonly JsonObject[];
  return {
    ...view,
    disk_spec: specs.map((spec) => withNumber(spec, 'size')),
    video: withNumber(view['video'] as JsonObject, 'memory'),
    metadata: JSON.stringify(view['metadata']),
    network_interfaces: interfaces.map((one) => oldInterface(one, read)),
    block_devices: { devices: view['disks'] },
    ...sinceOf(view, read.instances),
  };
}

function oldInterface(value: Json, read: ReadModel): JsonObject {
  const view = value as JsonObject;
  return { ...view, ...sinceOf(view, read.interfaces) };
}

/** 0 for one that is forgotten meanwhile. */
function sinceOf(
  { uuid }: JsonObject,
  objects: Pick<Collection<{ readonly sinceMs: number }>, 'get'>,
): JsonObject {
  const sinceMs = objects.get(typeof uuid === 'string' ? uuid : '')?.state.sinceMs ?? 0;
  return { state_updated: sinceMs / 1000 };
}

/** Sent as text it is echoed as text, which Go does not decode into a number. */
function withNumber(spec: JsonObject, name: string): JsonObject {
  return typeof spec[name] === 'string' ? { ...spec, [name]: wholeNumber(spec[name]) } : spec;
}

function oldNetwork(value: Json, read: ReadModel): JsonObject {
  const view = value as JsonObject;
  const { vxlan_id: vxid, namespace: owner } = view;
  return { ...view, vxid, owner, ...sinceOf(view, read.networks) };
}

function oldEvent(value: Json): JsonObject {
  const view = value as JsonObject;
  return { ...view, duration: Math.round(Number(view['duration'] ?? 0)) };
}

/** Every value as text: what is none, as JSON. */
function texts(value: Json): JsonObject {
  return Object.fromEntries(
    Object.entries(value as JsonObject).map(([key, one]) => [
      key,
      typeof one === 'string' ? one : JSON.stringify(one),
    ]),
  );
}

/** The Go client sends a video card that was not given as one without a model. */
function isUnset(video: unknown): boolean {
  if (typeof video !== 'object' || video === null) return false;
  const { model, memory } = video as Record<string, unknown>;
  return model === '' && memory === 0;
}

/** The Go client sends metadata as text; empty for none. */
function pairsOf(metadata: unknown): unknown {
  if (typeof metadata !== 'string' || metadata === '') return metadata;
  try {
    return JSON.parse(metadata) as unknown;
  } catch (error) {
    throw badRequest(`metadata is text that is no JSON object: ${String(error)}`);
  }
}
