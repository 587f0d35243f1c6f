// Tickets: what opens one WebSocket, once, soon, for those who cannot send a header (browsers).
//
// K1  A ticket is `<node>.<secret>`: the secret is random, and only the node that made it knows what it is worth. Who
//     redeems it at another node has that node asked, so it is worth something once in the whole cluster.
// K2  Nothing is signed, since nobody has to believe a ticket: its maker is asked in any case. When that node is gone, so
//     are its tickets; a new one is a request away.
// K3  Bounded: MAX_OPEN of a namespace that were not used yet; the oldest goes first.
import { randomBytes } from 'node:crypto';
import type { Clock } from '../../../actors/kernel/clock.ts';
import {
  closed,
  received,
  nullable,
  oneOf,
  Type,
  type Static,
} from '../../../actors/kernel/schema.ts';
import { PURPOSES } from '../http/channel.ts';

export const TICKET_LIFETIME_MS = 30_000;
export const MAX_OPEN = 256;

export const Ticket = closed({
  namespace: Type.String(),
  keyName: Type.String(),
  /** Of the key when the ticket was made: a ticket dies with its key. */
  nonce: Type.String(),
  purpose: oneOf(PURPOSES),
  /** The instance whose console it opens; null: about none. */
  objectId: nullable(Type.String()),
  /** The only web origin that may use it; null: none but the API's own. */
  origin: nullable(Type.String()),
});
export type Ticket = Static<typeof Ticket>;

/** For what another node says of its ticket. */
export const decodeTicket = received('ticket', Ticket);

interface Kept {
  readonly ticket: Ticket;
  readonly endsAtMono: number;
}

/** Those that were made on this node. */
export class TicketBooth {
  readonly #clock: Clock;
  /** By namespace, then by secret, oldest first. */
  readonly #open = new Map<string, Map<string, Kept>>();
  readonly #namespaceOf = new Map<string, string>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Made and not used, nor swept. */
  get size(): number {
    return this.#namespaceOf.size;
  }

  /** The secret of a new ticket. */
  issue(ticket: Ticket): string {
    const { namespace } = ticket;
    const open = this.#open.get(namespace) ?? new Map<string, Kept>();
    this.#open.set(namespace, open);
    this.#sweep(open);
    const secret = randomBytes(24).toString('base64url');
    const endsAtMono = this.#clock.monoMs() + TICKET_LIFETIME_MS;
    open.set(secret, { ticket, endsAtMono });
    this.#namespaceOf.set(secret, namespace);
    return secret;
  }

  /** What the secret is worth, for the first who asks in time; null: nothing. */
  redeem(secret: string): Ticket | null {
    const namespace = this.#namespaceOf.get(secret);
    const open = namespace === undefined ? undefined : this.#open.get(namespace);
    const kept = open?.get(secret);
    if (open === undefined || kept === undefined) return null;
    this.#forget(open, secret);
    if (open.size === 0) this.#open.delete(kept.ticket.namespace);
    return kept.endsAtMono > this.#clock.monoMs() ? kept.ticket : null;
  }

  #sweep(open: Map<string, Kept>): void {
    const now = this.#clock.monoMs();
    for (const [secret, { endsAtMono }] of open) {
      if (endsAtMono > now && open.size < MAX_OPEN) return;
      this.#forget(open, secret);
    }
  }

  #forget(open: Map<string, Kept>, secret: string): void {
    open.delete(secret);
    this.#namespaceOf.delete(secret);
  }
}

/** Of the whole cluster. */
export interface Tickets {
  issue(ticket: Ticket): string;
  /** Null: unknown, used, too old, or of a node that is gone. */
  redeem(ticket: string): Promise<Ticket | null>;
}

/** Its maker and its secret; null for what is no ticket. */
export function parseTicket(
  text: string,
): { readonly node: string; readonly secret: string } | null {
  const dot = text.indexOf('.');
  if (dot < 1 || text.length > 512) return null;
  const node = Buffer.from(text.slice(0, dot), 'base64url').toString();
  return { node, secret: text.slice(dot + 1) };
}

export function formatTicket(node: string, secret: string): string {
  return `${Buffer.from(node).toString('base64url')}.${secret}`;
}
