// Who gets which address of a block (contract: networks 4). Pure: reservations in, reservations out.
//
// A1  An address has at most one holder; a holder that asks again gets the same one.
// A2  A released address rests in the halo before it can be given again.
import { addressAt, broadcastOf, contains, gatewayOf, type Netblock } from './netblock.ts';
import type { Reservation } from './state.ts';

export type Reservations = Readonly<Record<string, Reservation>>;

export interface Asked {
  readonly owner: string;
  readonly user: readonly [string, string];
  readonly type: Reservation['type'];
  /** Null: any free one. */
  readonly address: string | null;
}

export type Reserved =
  | { readonly ok: true; readonly address: string; readonly reservations: Reservations }
  | {
      readonly ok: false;
      readonly code:
        | 'network/address-in-use'
        | 'network/address-outside'
        | 'network/no-free-address';
      readonly reason: string;
    };

/** How long a released address rests. */
export const HALO_MS = 300_000;
/** When the block is full, addresses that rested this long are given again. */
const SHORT_HALO_MS = 30_000;
const RANDOM_TRIES = 5;

/** Network, broadcast and router address, which belong to the network itself. */
export function ownReservations(block: Netblock, networkId: string, now: number): Reservations {
  const own = (type: Reservation['type']): Reservation => ({
    owner: `network/${networkId}`,
    user: ['network', networkId],
    type,
    atMs: now,
  });
  return {
    [addressAt(block, 0)]: own('network'),
    [gatewayOf(block)]: own('gateway'),
    [broadcastOf(block)]: own('broadcast'),
  };
}

/** Reserves the address asked for, or a free one: five random tries, then the lowest (contract: networks 4). */
export function reserve(
  block: Netblock,
  before: Reservations,
  asked: Asked,
  turn: { readonly now: number; readonly random: () => number },
): Reserved {
  const held = Object.entries(before).find(
    ([, one]) => one.owner === asked.owner && one.type === asked.type,
  );
  if (held !== undefined) return { ok: true, address: held[0], reservations: before };
  const rested = sweep(before, turn.now - HALO_MS);
  const { owner, type } = asked;
  const grant = (address: string, from: Reservations): Reserved => {
    const user: [string, string] = [asked.user[0], asked.user[1]];
    const reservation = { owner, user, type, atMs: turn.now };
    return { ok: true, address, reservations: { ...from, [address]: reservation } };
  };
  if (asked.address !== null) {
    const problem = refusal(block, rested, asked.address);
    return problem ?? grant(asked.address, rested);
  }
  const free = pick(block, rested, turn.random);
  if (free !== undefined) return grant(free, rested);
  const sooner = sweep(rested, turn.now - SHORT_HALO_MS);
  const last = pick(block, sooner, turn.random);
  if (last !== undefined) return grant(last, sooner);
  return { ok: false, code: 'network/no-free-address', reason: 'No free addresses on network' };
}

function refusal(block: Netblock, taken: Reservations, address: string): Reserved | undefined {
  if (!contains(block, address)) {
    const reason = `${address} is outside ${block.cidr}; choose an address in it`;
    return { ok: false, code: 'network/address-outside', reason };
  }
  if (taken[address] === undefined) return undefined;
  return { ok: false, code: 'network/address-in-use', reason: `address ${address} in use` };
}

function pick(block: Netblock, taken: Reservations, random: () => number): string | undefined {
  for (let attempt = 0; attempt < RANDOM_TRIES; attempt++) {
    const address = addressAt(block, Math.floor(random() * block.size));
    if (taken[address] === undefined) return address;
  }
  for (let index = 1; index < block.size; index++) {
    const address = addressAt(block, index);
    if (taken[address] === undefined) return address;
  }
  return undefined;
}

/** Frees what came into the halo at or before the given time. */
function sweep(reservations: Reservations, untilMs: number): Reservations {
  const kept = Object.entries(reservations).filter(
    ([, one]) => one.type !== 'deletion-halo' || one.atMs > untilMs,
  );
  return Object.fromEntries(kept);
}

/** Sends all that the owner holds into the halo. */
export function release(before: Reservations, owner: string, now: number): Reservations {
  const after = Object.entries(before).map(([address, one]) => {
    if (one.owner !== owner) return [address, one] as const;
    return [address, { owner: null, user: null, type: 'deletion-halo', atMs: now }] as const;
  });
  return Object.fromEntries(after);
}

export function holds(reservations: Reservations, owner: string): boolean {
  return Object.values(reservations).some((one) => one.owner === owner);
}
