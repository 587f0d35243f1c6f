// What older clients send and read otherwise, by route (contract: clients 8 and 9, instances 16.3, networks 8.2).
import type { Json, JsonObject } from '../../../actors/kernel/json.ts';
import { closed, nullable, Type, type TProperties } from '../../../actors/kernel/schema.ts';
import { InstanceView } from '../instances/instance-view.ts';
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
  readonly show?: (value: Json) => Json;
}

const OldInstance = closed({
  ...InstanceView.properties,
  /** All pairs, as JSON text. */
  metadata: Type.String(),
  network_interfaces: InstanceView.properties.interfaces,
  block_devices: closed({ devices: InstanceView.properties.disks }),
});

const OldNetwork = closed({
  ...NetworkView.properties,
  /** What `vxlan_id` was called. */
  vxid: Type.Integer(),
  /** What `namespace` was called. */
  owner: nullable(Type.String()),
});

const OldEvent = closed({ ...EventView.properties, duration: Type.Integer() });

const ONE_INSTANCE: Translation = { answer: { json: OldInstance }, show: oldInstance };
const INSTANCES: Translation = {
  answer: { json: Type.Array(OldInstance) },
  show: each(oldInstance),
};
const ONE_NETWORK: Translation = { answer: { json: OldNetwork }, show: oldNetwork };
const NETWORKS: Translation = { answer: { json: Type.Array(OldNetwork) }, show: each(oldNetwork) };
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
    ask: ({ metadata, ...rest }) => ({ ...rest, metadata: pairsOf(metadata) }),
  },
  'GET /instances/*': ONE_INSTANCE,
  'DELETE /instances/*': ONE_INSTANCE,
  'GET /networks': NETWORKS,
  'POST /networks': ONE_NETWORK,
  'GET /networks/*': ONE_NETWORK,
  'DELETE /networks/*': {
    answer: { json: nullable(OldNetwork) },
    show: (value) => (value === null ? null : oldNetwork(value as JsonObject)),
  },
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

function each(show: (one: JsonObject) => Json): (value: Json) => Json {
  return (value) => (Array.isArray(value) ? value.map((one: JsonObject) => show(one)) : value);
}

function oldInstance(value: Json): JsonObject {
  const view = value as JsonObject;
  const specs = view['disk_spec'] as readonly JsonObject[];
  return {
    ...view,
    disk_spec: specs.map((spec) => withNumber(spec, 'size')),
    video: withNumber(view['video'] as JsonObject, 'memory'),
    metadata: JSON.stringify(view['metadata']),
    network_interfaces: view['interfaces'],
    block_devices: { devices: view['disks'] },
  };
}

/** Sent as text it is echoed as text, which Go does not decode into a number. */
function withNumber(spec: JsonObject, name: string): JsonObject {
  return typeof spec[name] === 'string' ? { ...spec, [name]: wholeNumber(spec[name]) } : spec;
}

function oldNetwork(value: Json): JsonObject {
  const view = value as JsonObject;
  return { ...view, vxid: view['vxlan_id'], owner: view['namespace'] };
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

/** The Go client sends metadata as text; empty for none. */
function pairsOf(metadata: unknown): unknown {
  if (typeof metadata !== 'string' || metadata === '') return metadata;
  try {
    return JSON.parse(metadata) as unknown;
  } catch (error) {
    throw badRequest(`metadata is text that is no JSON object: ${String(error)}`);
  }
}
