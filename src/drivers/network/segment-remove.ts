// Takes a segment away from the host: everything that segment.ts makes, whatever of it is there.
import { rmSync } from 'node:fs';
import { serviceDirectory } from './dnsmasq-config.ts';
import { stopService } from './dnsmasq.ts';
import { neighbourOf, parseBatch } from './listing.ts';
import { egressMac, installationNames, segmentNames } from './names.ts';
import { removeTable, tableKey } from './nft.ts';
import type { RecordedSegment } from './register.ts';
import type { Means } from './repair.ts';
import { byName, namespacePresence } from './segment-observe.ts';
import type { Machine } from './segment-wanted.ts';

/** Takes away all that a segment made on the host. Quiet about what is not there. */
export async function removeSegmentPieces(
  segment: Pick<RecordedSegment, 'networkId' | 'vni'>,
  { hostTag, runDir }: Pick<Machine, 'hostTag' | 'runDir'>,
  { register, host, errand }: Omit<Means, 'by'>,
): Promise<void> {
  const names = segmentNames(hostTag, segment.vni);
  const directory = serviceDirectory(runDir, segment.networkId);
  await stopService(directory);
  rmSync(directory, { recursive: true, force: true });
  register.ledger.forget('dnsmasq', directory);
  const mac = egressMac(hostTag, segment.vni);
  const listing = await host.ip(null, ['link show', 'neigh show nud permanent'], errand);
  const [rows = [], neighbours = []] = parseBatch(listing);
  const links = byName(rows);
  // The veths by hand: the kernel takes its time over those of a deleted namespace, and their names are
  // taken until then.
  const devices = [names.gatewayPort, names.egressPort, names.vtep, names.bridge];
  const lines = [
    ...neighbours
      .map(neighbourOf)
      .filter((entry) => entry.mac === mac)
      .map(({ address, device }) => `neigh del ${address} dev ${device}`),
    ...devices.filter((name) => links.has(name)).map((name) => `link del dev ${name}`),
  ];
  if (lines.length > 0) await host.ip(null, lines, errand);
  for (const name of devices) register.ledger.forget('link', name);
  if (namespacePresence(names.namespace) !== 'absent') {
    await host.run('ip', ['netns', 'delete', names.namespace], errand);
  }
  register.ledger.forget('namespace', names.namespace);
  await removeTable(host, { family: 'bridge', name: names.bridgeTable }, errand);
  register.ledger.forget('nft-table', tableKey(null, names.bridgeTable));
  register.ledger.forget('nft-table', tableKey(names.namespace, installationNames(hostTag).table));
}
