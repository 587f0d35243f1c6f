// A network as clients see it (contract: networks 1.1).
import { OBJECT_VERSIONS } from '../objects/versions.ts';
import type { JsonObject } from '../../../actors/kernel/json.ts';
import { closed, nullable, Type } from '../../../actors/kernel/schema.ts';
import { Metadata } from '../objects/metadata.ts';
import type { NetworkState } from '../../../actors/network/state.ts';
import type { ReadObject } from '../../read/collection.ts';

export const NetworkView = closed({
  uuid: Type.String(),
  name: nullable(Type.String()),
  namespace: nullable(Type.String()),
  netblock: Type.String(),
  provide_dhcp: Type.Boolean(),
  provide_nat: Type.Boolean(),
  provide_dns: Type.Boolean(),
  floating_gateway: nullable(Type.String()),
  vxlan_id: Type.Integer(),
  state: Type.String(),
  metadata: Metadata,
  version: Type.Integer(),
});

/** An address that is given out, or rests. */
export const AddressView = closed({
  address: Type.String(),
  /** Who holds it, as [object type, uuid]; null: it rests. */
  user: nullable(Type.Tuple([Type.String(), Type.String()])),
  /** Since when, seconds since the epoch. */
  when: Type.Number(),
  type: Type.String(),
  comment: Type.String(),
});

export function networkView({ id, state }: ReadObject<NetworkState>): JsonObject {
  return {
    uuid: id,
    name: state.name,
    namespace: state.namespace,
    netblock: state.netblock,
    provide_dhcp: state.dhcp,
    provide_nat: state.nat,
    provide_dns: state.dns,
    floating_gateway: state.egressAddress,
    vxlan_id: state.vni ?? 0,
    state: state.phase,
    metadata: state.metadata as JsonObject,
    version: OBJECT_VERSIONS.network,
  };
}
