// Snapshots in a lab of three nodes: of a guest that runs, and of one whose node's daemon is killed meanwhile.
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { runIn } from '../../deploy/lab/machine.ts';
import { killDaemon, startDaemon } from '../../deploy/lab/node-daemon.ts';
import type { Client, View } from '../../src/client/client.ts';
import type { ClusterLab } from '../support/cluster-lab.ts';
import { untilView } from '../support/daemon.ts';
import { waitUntil } from '../support/wait.ts';

/** Both of n2's guest are made; one from the first boots on n3, with what was written before; nothing is left of it. */
export async function snapshotsBoot(world: ClusterLab): Promise<void> {
  const n1 = world.client('n1');
  const { instance: guest } = world.guest('n2');
  const path = `/instances/${String(guest['uuid'])}`;
  await untilView(n1, path, isReady);
  await run(n1, path, 'echo snapped >/root/snapped');
  const first = await snapshot(n1, path);
  await untilMade(n1, path, first);
  const second = await snapshot(n1, path);
  await killDaemon(world.node('n2'));
  await startDaemon(world.node('n2'));
  await untilMade(n1, path, second);

  const { memory, video } = guest;
  const shape = { name: 'from-snapshot', cpus: 1, memory, video, side_channels: ['sf-agent'] };
  const disk = [{ base: `sf://blob/${first}` }];
  const wish = { ...shape, disk, network: [], placed_on: 'n3' };
  const made = await n1.view('POST', '/instances', wish);
  const copy = `/instances/${String(made['uuid'])}`;
  await untilView(n1, copy, isReady, 120_000);
  assert.is(await run(n1, copy, 'cat /root/snapped'), 'snapped\n');
  await n1.call('DELETE', copy);
  await untilView(n1, copy, ({ state }) => state === 'deleted');
  for (const { name, directory, machine } of ['n1', 'n2', 'n3'].map((one) => world.node(one))) {
    const { stdout } = await runIn(machine, ['ls', '-A', join(directory, 'spool')]);
    assert.is(stdout, '', name);
  }
}

async function snapshot(client: Client, path: string): Promise<string> {
  const promised = await client.view('POST', `${path}/snapshot`, { all: true });
  return String((promised['vda'] as View | undefined)?.['blob_uuid']);
}

function untilMade(client: Client, path: string, blobId: string): Promise<void> {
  const isMade = async () =>
    (await client.list(`${path}/snapshot`)).some(
      ({ blob_uuid: id, state }) => id === blobId && state === 'created',
    );
  return waitUntil(`snapshot ${blobId}`, isMade, 90_000);
}

function isReady(view: View): boolean {
  return String(view['agent_state']).startsWith('ready');
}

/** What a line of the guest's shell prints. */
async function run(client: Client, path: string, line: string): Promise<unknown> {
  const asked = await client.view('POST', `${path}/agent/execute`, { command_line: line });
  const at = `/agentoperations/${String(asked['uuid'])}`;
  const { results } = await untilView(client, at, ({ state }) => state === 'complete');
  return (results as Record<string, View>)['0']?.['stdout'];
}
