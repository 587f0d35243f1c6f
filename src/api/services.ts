// What the routes need, handed in by the composition root.
import type { Clock } from '../../actors/kernel/clock.ts';
import { TroupeError } from '../../actors/kernel/errors.ts';
import type { Json } from '../../actors/kernel/json.ts';
import type { Address, Message, Ref } from '../../actors/kernel/kind.ts';
import type { EventRecord, Log, Random, Router } from '../../actors/kernel/ports.ts';
import type { ReadModel } from '../read/read-model.ts';

/** What is under way, wherever it is decided. */
export interface Operations {
  /** What the object's actor is doing; null: it does not run. Errors: of who has to be asked. */
  inspect(address: Address): Promise<Json>;
  /** What is past its deadline on all members. */
  stuck(): Promise<Json>;
  /** The message that the object's passing state names; undefined when it is in none. */
  cancelMessage(address: Address): Promise<Message | undefined>;
}

/** The serial console of instances, wherever they are. */
export interface Consoles {
  readConsole(instanceId: string, lengthBytes: number): Promise<Uint8Array>;
  clearConsole(instanceId: string): Promise<void>;
  /** How its screen is really shown: a machine without SPICE shows it by VNC. */
  screenKind(instanceId: string): Promise<'vnc' | 'spice'>;
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
  /** Signs what SPICE consoles show, PEM; empty: none. */
  readonly consoleAuthority: string;
  readonly operations: Operations;
  readonly consoles: Consoles;
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
