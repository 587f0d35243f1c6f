// What is known of an object at the end of a run: whose it is by the store, and what each daemon makes of it.
import { parseAddress } from '../../../actors/kernel/kind.ts';
import { shardOf } from '../../../transport/sharding/shard.ts';
import type { SimNode } from './node.ts';
import type { Site } from './site.ts';

/** Lines for people; none for what is not an object's address. */
export function explain(name: string, site: Site, nodes: readonly SimNode[]): string[] {
  const address = parseAddress(name);
  if (address === undefined || !site.view.seen.has(name)) return [];
  const shard = shardOf(address);
  const owner = site.view.owners.get(shard);
  const stored = site.view.objects.get(name);
  const lines = [`${name} is in shard ${shard}, owned by ${owner?.node ?? 'nobody'}`];
  if (stored !== undefined)
    lines.push(`revision ${stored.revision}: ${JSON.stringify(stored.state)}`);
  for (const { name: node, daemon } of nodes) {
    if (daemon === null) continue;
    const { cluster, runtime } = daemon;
    const sees = `${daemon.bootId} sends to ${cluster.nodeOf(address) ?? 'nobody'}`;
    const inspection = JSON.stringify(runtime.inspect(address));
    lines.push(`${sees}, decides under ${cluster.epochOf(address) ?? 'no epoch'}: ${inspection}`);
    for (const lane of daemon.executors.inspect())
      if (lane.owner === name) lines.push(`on ${node}: ${JSON.stringify(lane)}`);
  }
  return lines;
}
