// A network as clients see it (contract: networks 1.1).
import { OBJECT_VERSIONS } from '../objects/versions.ts';
import type { JsonObject } from '../../../actors/kernel/json.ts';
import type { NetworkState } from '../../../actors/network/state.ts';
import type { ReadObject } from '../../read/collection.ts';

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
