// What the routes need, handed in by the composition root.
import type { Duplex } from 'node:stream';
import type { Clock } from '../../actors/kernel/clock.ts';
import { TroupeError } from '../../actors/kernel/errors.ts';
import type { Json } from '../../actors/kernel/json.ts';
import type { Address, Message, Ref } from '../../actors/kernel/kind.ts';
import type { EventRecord, Log, Random, Router } from '../../actors/kernel/ports.ts';
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
  readonly read: ReadModel;
  readonly router: Router;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly tokenSecret: Uint8Array;
  readonly operations: Operations;
  readonly consoles: Consoles;
  readonly sockets: Sockets;
  readonly tickets: Tickets;
  readonly hub: Hub;
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
