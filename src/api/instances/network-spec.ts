// One network of POST /instances (contract: instances 3.2): which network, and what address on it.
import { isAddress, contains, parseNetblock } from '../../../actors/network/netblock.ts';
import { MAX_NICS } from '../../../actors/instance/plug.ts';
import type { Nic } from '../../../actors/instance/state.ts';
import type { NetworkState } from '../../../actors/network/state.ts';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import type { ReadObject } from '../../read/collection.ts';
import { resolve } from '../objects/reference.ts';
import { networks } from '../objects/resources.ts';
import { badRequest, type ApiServices } from '../services.ts';
import type { Caller } from '../http/route.ts';

/** Of one interface: the lowest bit of the first octet would make it a group's. */
const MAC = /^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$/i;
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

export interface NetworkContext {
  readonly services: ApiServices;
  readonly caller: Caller;
  /** The instance's. */
  readonly namespace: string;
}

/** All NICs, checked one by one. Makes nothing. Errors: 400, 404 and 406 with the contract's texts. */
export function networkSpecs(context: NetworkContext, specs: readonly unknown[]): Nic[] {
  if (specs.length > MAX_NICS) throw badRequest(`instance can have at most ${MAX_NICS} networks`);
  return specs.map((spec, order) => networkSpec(context, spec, order));
}

/** Errors: 400, 404 and 406 with the contract's texts. */
export function networkSpec(context: NetworkContext, spec: unknown, order: number): Nic {
  if (typeof spec !== 'object' || spec === null || Array.isArray(spec)) {
    throw badRequest('network specification should contain JSON objects');
  }
  const { network_uuid: ref, address, macaddress, model, float } = spec as Record<string, unknown>;
  if (typeof ref !== 'string' || ref === '') {
    throw badRequest('network specification is missing network_uuid');
  }
  const network = findNetwork(context, ref);
  const requested = requestedAddress(address, Object.hasOwn(spec, 'address'), network.state);
  checkUsable(network, context.namespace);
  if (float && requested === 'none') {
    throw badRequest('network specification requests a floating address without an address');
  }
  return {
    interfaceId: context.services.random.uuid(),
    networkId: network.id,
    order,
    model: modelOf(model),
    requested,
    requestedMac: macOf(macaddress),
    float: Boolean(float),
    phase: 'none',
    mac: null,
    ipv4: null,
  };
}

function checkUsable({ id, state }: ReadObject<NetworkState>, namespace: string): void {
  if (state.phase !== 'created') {
    throw new TroupeError('network/not-ready', `network ${id} is not ready (${state.phase})`);
  }
  if (state.namespace !== namespace) {
    throw new TroupeError('api/not-found', `network ${id} does not exist`);
  }
}

function findNetwork({ services, caller }: NetworkContext, ref: string): ReadObject<NetworkState> {
  try {
    return resolve(networks(services.read), ref, caller);
  } catch (error) {
    const isMissing = error instanceof TroupeError && error.code === 'api/not-found';
    if (!isMissing) throw error;
    throw new TroupeError('api/not-found', `network ${ref} not found`, {}, error);
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

/** Used verbatim by the reference; here a MAC must be one, since it reaches the kernel and libvirt. */
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
