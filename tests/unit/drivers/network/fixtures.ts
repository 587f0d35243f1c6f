// A segment, a machine and a driver on fake programs, for the unit tests of this folder.
import type { SegmentPort, SegmentSpec } from '../../../../actors/network/ports.ts';
import { segmentWanted, type Machine } from '../../../../src/drivers/network/segment-wanted.ts';

export const machine: Machine = {
  node: 'n1',
  hostTag: 'a1b2',
  underlay: { mtu: 1500, address: '10.9.0.1', port: 4789 },
  runDir: '/run/troupe/network',
};

export function port(number: number, more: Partial<SegmentPort> = {}): SegmentPort {
  const digits = String(number).padStart(2, '0');
  return {
    interfaceId: `0000${digits}00-77f1-4d37-8a43-0a6d1cbb9b02`,
    mac: `02:00:00:00:00:${digits}`,
    ipv4: `10.20.0.${number}`,
    hostname: `guest${number}`,
    node: 'n1',
    floating: null,
    ...more,
  };
}

export function spec(more: Partial<SegmentSpec> = {}): SegmentSpec {
  return {
    networkId: '0e6b3df6-9f0f-4a1e-8f0e-2b7b6fd1c001',
    vni: 10,
    netblock: '10.20.0.0/24',
    gateway: '10.20.0.1',
    gatewayMac: '02:00:5e:00:00:01',
    domain: 'lab.troupe',
    dhcp: true,
    dns: true,
    upstreamDns: '10.9.0.9',
    egressAddress: '192.168.20.5',
    floatingBlock: '192.168.20.0/24',
    ports: [port(11)],
    peers: [],
    routed: [],
    dnsEntries: [],
    ...more,
  };
}

export function wanted(
  more: Partial<SegmentSpec> = {},
  by = { owner: 'segment/n1/x', trace: 'trace-1' },
) {
  return segmentWanted(spec(more), machine, [], by);
}
