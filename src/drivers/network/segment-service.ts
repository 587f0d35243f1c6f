// Keeps a segment's dnsmasq running with what the spec says, or not at all where the network wants neither DHCP nor DNS.
import { rmSync } from 'node:fs';
import { serviceDirectory, serviceWanted } from './dnsmasq-config.ts';
import { carryOutService, hostsDigest, planService, stopService } from './dnsmasq.ts';
import { INSIDE } from './names.ts';
import type { Finding, Means } from './repair.ts';
import type { SegmentSeen } from './segment-observe.ts';
import type { SegmentWanted } from './segment-wanted.ts';

/** Reads first; starts, restarts or tells the running dnsmasq only where it differs from what is wanted. */
export async function convergeService(
  wanted: SegmentWanted,
  seen: SegmentSeen,
  { register, host, by, errand }: Means,
): Promise<Finding[]> {
  const directory = serviceDirectory(wanted.machine.runDir, wanted.spec.networkId);
  const service = serviceWanted(wanted);
  const report = (problem: Finding['problem'], reason: string): Finding[] => [
    { resource: 'dnsmasq', name: directory, problem, reason },
  ];
  if (service === null) {
    if (register.service(directory) === undefined) return [];
    await stopService(directory);
    rmSync(directory, { recursive: true, force: true });
    register.ledger.forget('dnsmasq', directory);
    return report('different', 'dnsmasq is not wanted any more');
  }
  const device = seen.router.links.get(INSIDE)?.index ?? 0;
  const loaded = register.service(directory);
  const plan = planService(service, wanted.names.namespace, device, loaded);
  if (plan.action === 'nothing') return [];
  if (loaded === undefined) register.put('dnsmasq', directory, by, { hosts: '', device });
  await carryOutService(plan, service, wanted.names.namespace, host, errand);
  register.put('dnsmasq', directory, by, { hosts: hostsDigest(service), device });
  return report(plan.action === 'start' ? 'missing' : 'different', plan.reason);
}
