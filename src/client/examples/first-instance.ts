// A network, an instance on it, and everything gone again; what docs/client.md shows.
import type { Troupe } from '../index.ts';

/** Resolves to the instance's address. */
export async function firstInstance(troupe: Troupe): Promise<string> {
  const front = await troupe.networks.create({ name: 'front', netblock: '10.20.0.0/24' });
  await front.waitUntil('created');
  const web = await troupe.instances.create({
    name: 'web',
    cpus: 1,
    memory: 512,
    disk: [{ size: 8 }],
    network: [{ network_uuid: front.id }],
  });
  await web.waitUntil('created');
  const [nic] = await web.interfaces();
  await web.delete();
  await web.waitUntil('deleted');
  await front.delete();
  return nic?.ipv4 ?? '';
}
