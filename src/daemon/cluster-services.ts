// Where the store, the meshes and the APIs of the cluster listen: nothing is fetched from there for anybody.
import type { Member } from '../../transport/sharding/member.ts';
import { endpointOf } from '../drivers/image/cluster-services.ts';
import type { Endpoint } from '../drivers/image/fetch-policy.ts';

/** `stores`: base URLs. */
export function clusterServices(
  stores: string | readonly string[],
  members: readonly Member[],
): Endpoint[] {
  const ofMembers = members.flatMap(({ api, mesh }) => [
    ...endpointOf(api),
    ...(mesh === null ? [] : [mesh]),
  ]);
  return [...[stores].flat().flatMap(endpointOf), ...ofMembers];
}
