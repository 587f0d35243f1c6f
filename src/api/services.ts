// What the routes need, handed in by the composition root.
import type { Duplex } from 'node:stream';
import type { Clock } from '../../actors/kernel/clock.ts';
import { TroupeError } from '../../actors/kernel/errors.ts';
import type { Json } from '../../actors/kernel/json.ts';
import type { Address, Message, Ref } from '../../actors/kernel/kind.ts';
import type { Busy } from '../../actors/kernel/inspection.ts';
import type { EventRecord, Log, Random, Router } from '../../actors/kernel/ports.ts';
import type { ArchiveReader } from '../archive/archive-reader.ts';
import type { History } from '../archive/history.ts';
import type { Format } from '../metrics/exposition.ts';
import type { RouteLabels } from '../metrics/http-meter.ts';
import type { Shortcut } from './artifacts/shortcuts.ts';
import type { AuditTrail } from './identity/audit-trail.ts';
import type { TokenSecrets } from './identity/token-secrets.ts';
import type { ReadModel } from '../read/read-model.ts';
import type { Sockets } from './http/channel.ts';
import type { Hub } from './stream/hub.ts';
import type { Tickets } from './stream/tickets.ts';

/** What is under way, wherever it is decided. */
export interface Operations {
  /** What the object's actor is doing; null: it does not run. Errors: of who has to be asked. */
  inspect(address: Address): Promise<Json>;
  /** What is past its deadline on all members. */
  stuck(): Promise<Json>;
  /** The message that the object's passing state names; undefined when it is in none. */
  cancelMessage(address: Address): Promise<Message | undefined>;
}

export type ConsoleKind = 'serial' | 'graphic';

/** The log of the serial console of instances, wherever they are. */
export interface ConsoleLogs {
  readConsole(instanceId: string, lengthBytes: number): Promise<Uint8Array>;
  clearConsole(instanceId: string): Promise<void>;
  /** How its screen is really shown: a machine without SPICE shows it by VNC. */
  screenKind(instanceId: string): Promise<'vnc' | 'spice'>;
}

/** What the cluster remembers. */
export interface Past {
  readonly reader: Pick<ArchiveReader, 'version' | 'blame' | 'traced'>;
  readonly history: History;
}

/** What one daemon says of itself. */
export interface BusyDaemon {
  readonly node: string;
  /** 0: it did not answer. */
  readonly pid: number;
  readonly busy: readonly Busy[];
}

export interface ShardOwner {
  readonly shard: number;
  readonly node: string;
  readonly epoch: number;
}

/** The machines of the cluster, and taking one out. */
export interface Nodes {
  /** What it has and uses, by the names of the contract (nodes 1.6). Errors: of who has to be asked. */
  resources(node: string): Promise<Record<string, Json>>;
  /** The processor time of its service's processes (nodes 1.5). */
  processes(node: string): Promise<Json>;
  /** Of all members. */
  busy(): Promise<readonly BusyDaemon[]>;
  /** As far as this daemon knows. */
  shardOwners(): readonly ShardOwner[];
  /** For good. Resolves to the store revision. Errors: `node/is-member`, `object/not-found`. */
  remove(node: string, trace: string): Promise<number>;
}

/** Who may read the metrics: from this machine, or with a token of the system namespace; only with one; anybody. */
export type MetricsAccess = 'local' | 'token' | 'open';

/** What those who watch over the daemon ask for. */
export interface Monitoring {
  readonly access: () => MetricsAccess;
  /** Told of each request. */
  readonly requests: {
    begun(): void;
    /** `route` null: there is none. The same object each time for the same route. */
    ended(route: RouteLabels | null, status: number, durationMs: number): void;
  };
  /** All metrics as text. */
  metrics(format: Format): Promise<string>;
  /** Why requests are better sent to another daemon now; none: this one may serve. */
  notReady(): readonly string[];
}

/** Bytes on the disks of machines: the spool of what is brought, and replicas of blobs. */
export interface MachineBytes {
  /** Resolves to how many are there then. Errors: `api/conflict` for a hole, `host/disk-full`, of a node out of reach. */
  write(
    node: string,
    id: string,
    piece: { readonly offset: number; readonly bytes: Uint8Array },
    trace: string,
  ): Promise<number>;
  resize(node: string, id: string, sizeBytes: number, trace: string): Promise<void>;
  /** Null: none are there. */
  size(node: string, id: string, trace: string): Promise<number | null>;
  /** Fewer at the blob's end. */
  readReplica(
    node: string,
    blobId: string,
    piece: { readonly offset: number; readonly lengthBytes: number },
    trace: string,
  ): Promise<Uint8Array>;
}

/** The consoles of instances, wherever they are. */
export interface Consoles extends ConsoleLogs {
  /** The console's own bytes, both ways; destroy it to leave. Errors: `object/wrong-phase`: it has none now; `mesh/*`. */
  openConsole(instanceId: string, which: ConsoleKind): Promise<Duplex>;
}

/** Who is there. */
export interface ClusterMember {
  readonly node: string;
  readonly version: string;
}

export interface ApiServices {
  readonly node: string;
  /** As far as this daemon knows; none while it is no member itself. */
  readonly members: () => readonly ClusterMember[];
  readonly zone: string;
  /** What short names of images stand for. */
  readonly imageShortcuts: readonly Shortcut[];
  /** Of disks, where nobody asked for thin ones. */
  readonly snapshots: 'full' | 'thin';
  /** An upload to which no bytes come for so long is removed. */
  readonly uploadIdleMs: number;
  readonly read: ReadModel;
  readonly router: Router;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly tokenSecrets: TokenSecrets & { rotate(isAtOnce: boolean): Promise<void> };
  /** Signs what SPICE consoles show, PEM; empty: none. */
  readonly consoleAuthority: string;
  readonly audit: AuditTrail;
  readonly operations: Operations;
  readonly consoles: Consoles;
  readonly sockets: Sockets;
  readonly tickets: Tickets;
  readonly hub: Hub;
  /** The archive: what objects were, and what has happened and happens now. */
  readonly past: Past;
  readonly monitoring: Monitoring;
  readonly nodes: Nodes;
  readonly bytes: MachineBytes;
  /** What an instance has used lately, as events. */
  usageOf(instanceId: string): Promise<readonly EventRecord[]>;
  /** An object's events, newest first; `limit` negative: all. */
  events(address: Address, limit: number, type: string | null): Promise<readonly EventRecord[]>;
}

/** Asks an actor, then waits until this daemon's copy has what was written: reads after it see it. */
export async function change<M extends Message>(
  services: ApiServices,
  to: Ref<M>,
  message: NoInfer<M>,
  trace: string,
): Promise<Json> {
  const reply = await services.router.ask<M>(to, message, { trace });
  if (reply.revision > 0) await services.read.reached(reply.revision);
  return reply.value;
}

/** A 404 worded as clients expect it: `<what> not found`. */
export function notFound(what: string): TroupeError {
  return new TroupeError('api/not-found', `${what} not found`);
}

export function badRequest(message: string): TroupeError {
  return new TroupeError('api/bad-request', message);
}
