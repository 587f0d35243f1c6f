// One network of POST /instances (contract: instances 3.2): which network, and what address on it.
import { isAddress, contains, parseNetblock } from '../../actors/network/netblock.ts';
import type { Nic } from '../../actors/instance/state.ts';
import type { NetworkState } from '../../actors/network/state.ts';
import { TroupeError } from '../../actors/kernel/errors.ts';
import type { ReadObject } from '../read/collection.ts';
import { isUuid, resolve } from './reference.ts';
import { badRequest, type ApiServices } from './services.ts';
import type { Caller } from './route.ts';

const MAC = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i;
const MODELS = [
  'virtio',
  'e1000',
  'rtl8139',
  'ne2k_pci',
  'ne2k_isa',
  'pcnet',
  'i82551',
  'i82557b',
  'i82559er',
];

/** Errors: 400, 404 and 406 with the contract's texts. */
export function networkSpec(
  services: ApiServices,
  caller: Caller,
  namespace: string,
  spec: unknown,
  order: number,
): Nic {
  if (typeof spec !== 'object' || spec === null || Array.isArray(spec)) {
    throw badRequest('network specification should contain JSON objects');
  }
  const { network_uuid: ref, address, macaddress, model, float } = spec as Record<string, unknown>;
  if (typeof ref !== 'string' || ref === '') {
    throw badRequest('network specification is missing network_uuid');
  }
  const network = findNetwork(services, caller, ref);
  const requested = requestedAddress(address, 'address' in spec, network.state);
  if (network.state.phase !== 'created') {
    const reason = `network ${network.id} is not ready (${network.state.phase})`;
    throw new TroupeError('network/not-ready', reason);
  }
  if (network.state.namespace !== namespace) {
    throw new TroupeError('api/not-found', `network ${network.id} does not exist`);
  }
  if (float === true) throw badRequest('floating addresses are not supported yet: leave float out');
  return {
    interfaceId: services.random.uuid(),
    networkId: network.id,
    order,
    model: modelOf(model),
    requested,
    requestedMac: macOf(macaddress),
    phase: 'none',
    mac: null,
    ipv4: null,
  };
}

function findNetwork(services: ApiServices, caller: Caller, ref: string): ReadObject<NetworkState> {
  try {
    return resolve(services.read.networks, 'network', ref, caller);
  } catch (error) {
    const isMissing = error instanceof TroupeError && error.code === 'api/not-found';
    if (!isMissing) throw error;
    const what = isUuid(ref) ? ref : JSON.stringify(ref).slice(1, -1);
    throw new TroupeError('api/not-found', `network ${what} not found`, {}, error);
  }
}

/**
 * 'auto', 'none' or an address. Absent means automatic; null and `none` mean no address. An empty string means
 * automatic too: that is what the Go client and Terraform send for "choose one" (contract: instances 17).
 */
function requestedAddress(address: unknown, isPresent: boolean, network: NetworkState): string {
  if (!isPresent || address === '') return 'auto';
  if (address === null) return 'none';
  if (typeof address === 'string' && address.toLowerCase() === 'none') return 'none';
  if (typeof address !== 'string' || !isAddress(address)) {
    throw badRequest(
      `network specification requests ${JSON.stringify(address)}, which is not an IPv4 address`,
    );
  }
  if (contains(parseNetblock(network.netblock), address)) return address;
  throw badRequest('network specification requests an address outside the range of the network');
}

/** Used verbatim by the reference; here a MAC must be one, since it reaches the host's tools. */
function macOf(mac: unknown): string | null {
  if (mac === undefined || mac === null || mac === '') return null;
  if (typeof mac === 'string' && MAC.test(mac)) return mac.toLowerCase();
  throw badRequest(`macaddress should look like 02:00:00:12:34:56, found ${JSON.stringify(mac)}`);
}

function modelOf(model: unknown): string {
  if (model === undefined || model === null || model === '') return 'virtio';
  if (typeof model === 'string' && MODELS.includes(model)) return model;
  throw badRequest(`unknown NIC model ${JSON.stringify(model)}; one of ${MODELS.join(', ')}`);
}
