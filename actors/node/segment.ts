// The executor of segments: one network's presence on this machine.
import { received, closed, nullable, Type } from '../kernel/schema.ts';
import type { Dataplane } from '../network/ports.ts';
import type { Converger } from './executors.ts';

const decodeSegment = received(
  'segment',
  closed({
    networkId: Type.String(),
    vni: Type.Integer(),
    netblock: Type.String(),
    gateway: Type.String(),
    gatewayMac: Type.String(),
    domain: Type.String(),
    dhcp: Type.Boolean(),
    dns: Type.Boolean(),
    upstreamDns: Type.String(),
    egressAddress: nullable(Type.String()),
    floatingBlock: Type.String(),
    ports: Type.Array(
      closed({
        interfaceId: Type.String(),
        mac: Type.String(),
        ipv4: nullable(Type.String()),
        hostname: Type.String(),
        node: Type.String(),
        floating: nullable(Type.String()),
      }),
    ),
    peers: Type.Array(closed({ node: Type.String(), vtep: Type.String() })),
    routed: Type.Array(Type.String()),
    dnsEntries: Type.Array(closed({ name: Type.String(), address: Type.String() })),
  }),
);

export function segmentConverger(node: string, dataplane: Dataplane): Converger {
  return {
    ownerKind: 'network',
    ensure: async (_id, spec, by) => {
      const wanted = decodeSegment(spec);
      const peers = wanted.peers.filter((peer) => peer.node !== node);
      const { bridge, mtu } = await dataplane.ensureSegment({ ...wanted, peers }, by);
      return { bridge, mtu };
    },
    remove: (id, by) => dataplane.removeSegment(id, by),
  };
}
