// Names that a network answers for besides those of its instances (contract: networks 2.10).
import { next, refuse, type Step, type Turn } from '../kernel/kind.ts';
import { isAddress } from './netblock.ts';
import { notReady, segmentChange } from './places.ts';
import type { NetworkMessage, NetworkState } from './state.ts';

type Of<K extends NetworkMessage['kind']> = Extract<NetworkMessage, { kind: K }>;

const MAX_ENTRIES = 1_000;
const MAX_NAME_LENGTH = 253;
const LABEL = '[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?';
/** The last label is not all digits: `10.0.0.1`, and whatever else reads as an address, is no name. */
const NAME = new RegExp(`^(${LABEL}\\.)*(?![0-9]+$)${LABEL}$`);

/** A host name or a dotted domain name, in lower case as names are stored. */
export function isDNSName(name: string): boolean {
  return name.length <= MAX_NAME_LENGTH && NAME.test(name);
}

/** Adds or replaces. */
export function setDNS(
  state: NetworkState,
  { name, address }: Of<'set-dns'>,
  turn: Turn,
): Step<NetworkState> {
  if (state.phase !== 'created') return notReady(state, turn);
  if (!isDNSName(name) || !isAddress(address)) {
    return refuse(state, 'actor/bad-message', 'a DNS entry is a host name and an IPv4 address');
  }
  const before = Object.hasOwn(state.dnsEntries, name) ? state.dnsEntries[name] : undefined;
  if (before === address) return next(state);
  if (before === undefined && Object.keys(state.dnsEntries).length >= MAX_ENTRIES) {
    const reason = `a network has at most ${MAX_ENTRIES} DNS entries; remove one first`;
    return refuse(state, 'store/too-large', reason);
  }
  const dnsEntries = { ...state.dnsEntries, [name]: address };
  return next({ ...state, dnsEntries, ...segmentChange(state, turn) }, [
    { type: 'audit', message: 'set DNS entry', extra: { name, address } },
  ]);
}

export function removeDNS(
  state: NetworkState,
  { name }: Of<'remove-dns'>,
  turn: Turn,
): Step<NetworkState> {
  if (state.phase !== 'created') return notReady(state, turn);
  if (!Object.hasOwn(state.dnsEntries, name)) return next(state);
  const { [name]: _, ...dnsEntries } = state.dnsEntries;
  return next({ ...state, dnsEntries, ...segmentChange(state, turn) }, [
    { type: 'audit', message: 'removed DNS entry', extra: { name } },
  ]);
}
