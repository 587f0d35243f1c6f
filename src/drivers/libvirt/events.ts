// The events that libvirt pushes, as a table: event id to ask for, procedure that it then comes as,
// layout, and what it becomes here. Layouts: remote_protocol of libvirt 9.0.
//
// V1  One registration per kind, for all domains. An event is told by its procedure number, not by the
//     callback id, so one that overtakes the reply to its registration is not lost.
// V2  A message with a procedure that is not in this table is somebody else's or newer: it is skipped.
import type { Frame } from './frame.ts';
import { REMOTE_PROGRAM } from './frame.ts';
import * as names from './names.ts';
import { domain, text } from './wire.ts';
import type { DomainRef } from './wire.ts';
import { decode, i32, struct } from './xdr.ts';
import type { Codec } from './xdr.ts';

/** Something that happened to a domain, as the daemon saw it. */
export type DomainEvent = { readonly domain: DomainRef } & (
  | { readonly kind: 'lifecycle'; readonly event: names.Lifecycle; readonly detail: string }
  | { readonly kind: 'reboot' }
  | { readonly kind: 'watchdog'; readonly action: names.WatchdogAction }
  | {
      readonly kind: 'io-error';
      readonly path: string;
      readonly device: string;
      readonly action: names.IoErrorAction;
      /** `enospc` when the storage is full; '' when QEMU did not say. */
      readonly reason: string;
    }
  /** libvirt lost touch with this QEMU's monitor: it still runs, but cannot be managed. */
  | { readonly kind: 'control-error' }
  | {
      readonly kind: 'block-job';
      readonly disk: string;
      readonly type: names.BlockJobType;
      readonly status: names.BlockJobStatus;
    }
  | { readonly kind: 'device-added'; readonly alias: string }
  | { readonly kind: 'device-removed'; readonly alias: string }
  | { readonly kind: 'device-removal-failed'; readonly alias: string }
  | { readonly kind: 'agent'; readonly state: names.AgentState }
);
export type DomainEventKind = DomainEvent['kind'];

interface EventRow {
  /** virDomainEventID, to register with. */
  readonly eventId: number;
  /** The procedure number of its messages. */
  readonly procedure: number;
  readonly decode: (payload: Buffer) => DomainEvent;
}

function row<T>(
  id: { eventId: number; procedure: number },
  codec: Codec<T>,
  toEvent: (value: T) => DomainEvent,
): EventRow {
  return { ...id, decode: (payload) => toEvent(decode(codec, payload)) };
}

const domainOnly = struct({ callback: i32, domain });
const deviceAlias = struct({ callback: i32, domain, alias: text });
const lifecycleFields = struct({ callback: i32, domain, event: i32, detail: i32 });
const watchdogFields = struct({ callback: i32, domain, action: i32 });
const agentFields = struct({ callback: i32, domain, state: i32, reason: i32 });
const blockJobFields = struct({ callback: i32, domain, disk: text, type: i32, status: i32 });
const ioErrorFields = struct({
  callback: i32,
  domain,
  path: text,
  device: text,
  action: i32,
  reason: text,
});

/** Every event kind that this client knows. */
export const EVENTS: Readonly<Record<DomainEventKind, EventRow>> = {
  lifecycle: row({ eventId: 0, procedure: 318 }, lifecycleFields, (fields) => {
    const event = names.lifecycle(fields.event);
    const detail = names.lifecycleDetail(event, fields.detail);
    return { kind: 'lifecycle', domain: fields.domain, event, detail };
  }),
  reboot: row({ eventId: 1, procedure: 319 }, domainOnly, (fields) => ({
    kind: 'reboot',
    domain: fields.domain,
  })),
  watchdog: row({ eventId: 3, procedure: 321 }, watchdogFields, (fields) => ({
    kind: 'watchdog',
    domain: fields.domain,
    action: names.watchdogAction(fields.action),
  })),
  'io-error': row({ eventId: 6, procedure: 324 }, ioErrorFields, (fields) => ({
    kind: 'io-error',
    domain: fields.domain,
    path: fields.path,
    device: fields.device,
    action: names.ioErrorAction(fields.action),
    reason: fields.reason,
  })),
  'control-error': row({ eventId: 7, procedure: 325 }, domainOnly, (fields) => ({
    kind: 'control-error',
    domain: fields.domain,
  })),
  'device-removed': row({ eventId: 15, procedure: 333 }, deviceAlias, (fields) => ({
    kind: 'device-removed',
    domain: fields.domain,
    alias: fields.alias,
  })),
  'block-job': row({ eventId: 16, procedure: 339 }, blockJobFields, (fields) => ({
    kind: 'block-job',
    domain: fields.domain,
    disk: fields.disk,
    type: names.blockJobType(fields.type),
    status: names.blockJobStatus(fields.status),
  })),
  agent: row({ eventId: 18, procedure: 348 }, agentFields, (fields) => ({
    kind: 'agent',
    domain: fields.domain,
    state: names.agentState(fields.state),
  })),
  'device-added': row({ eventId: 19, procedure: 354 }, deviceAlias, (fields) => ({
    kind: 'device-added',
    domain: fields.domain,
    alias: fields.alias,
  })),
  'device-removal-failed': row({ eventId: 22, procedure: 367 }, deviceAlias, (fields) => ({
    kind: 'device-removal-failed',
    domain: fields.domain,
    alias: fields.alias,
  })),
};

const BY_PROCEDURE = new Map(Object.values(EVENTS).map((event) => [event.procedure, event]));

/** The event in a message, or undefined when it is none of ours (V2). Throws `malformed`. */
export function decodeEvent(frame: Frame): DomainEvent | undefined {
  if (frame.program !== REMOTE_PROGRAM) return undefined;
  return BY_PROCEDURE.get(frame.procedure)?.decode(frame.payload);
}
