// A killed daemon's machine is cleaned while an instance runs; the next start brings the instance back.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { exec } from '../../src/drivers/exec.ts';
import { Ledger } from '../../src/drivers/ledger.ts';
import { findLeftovers, removeLeftovers } from '../../src/embedded/leftovers.ts';
import { clientOf, daemonInstallation, serveDaemon, untilView } from '../support/daemon.ts';
import { waitUntil } from '../support/wait.ts';

const test = suite('clean');
const installation = await daemonInstallation();
const { dataDir } = installation;
let daemon = await serveDaemon(installation, ['--no-tour']);

test.after(async () => {
  await daemon.interrupt();
  await installation.remove();
});

/** QEMUs, router namespaces and taps: what the instance is made of. */
async function pieces(): Promise<readonly number[]> {
  const { processes, namespaces, links } = await findLeftovers(installation);
  const guests = processes.filter(({ program }) => program.startsWith('qemu'));
  const taps = links.filter((name) => name.startsWith('tp'));
  return [guests.length, namespaces.length, taps.length];
}

function ledgerEntries(): string[] {
  const ledger = new Ledger(join(dataDir, 'ledger.db'));
  const entries = ledger.list().map(({ resource, name }) => `${resource} ${name}`);
  ledger.close();
  return entries;
}

test('an instance comes back after the machine was cleaned, and can be deleted without a trace', async () => {
  // Nothing has to boot from it: what is looked at is what exists, not what runs inside.
  const file = join(dataDir, 'empty.qcow2');
  await exec('qemu-img', ['create', '-f', 'qcow2', file, '16M'], { trace: 'test' });
  const before = clientOf(dataDir);
  await before.call('POST', '/networks', { name: 'clean', netblock: '10.98.0.0/24' });
  await untilView(before, '/networks/clean', (view) => view['state'] === 'created');
  const { uuid } = await before.view('POST', '/instances', {
    name: 'clean',
    cpus: 1,
    memory: 64,
    disk: [{ base: `file://${file}`, size: 1 }],
    network: [{ network_uuid: 'clean' }],
    side_channels: [],
    video: { model: 'cirrus', memory: 16384, vdi: 'vnc' },
  });
  const path = `/instances/${String(uuid)}`;
  await untilView(before, path, (view) => view['power_state'] === 'on');
  assert.equal(await pieces(), [1, 1, 1]);

  await daemon.kill();
  await removeLeftovers(installation);
  const left = await findLeftovers(installation);
  assert.equal(left.processes, []);
  assert.equal([...left.namespaces, ...left.links, ...left.tables, ...left.mounts], []);

  daemon = await serveDaemon(installation, ['--no-tour']);
  const after = clientOf(dataDir);
  await waitUntil(
    'all its pieces are back',
    async () => String(await pieces()) === '1,1,1',
    60_000,
  );
  await untilView(after, path, (view) => view['power_state'] === 'on');
  assert.equal(await after.call('GET', '/stuck'), []);

  for (const object of [path, '/networks/clean']) await after.call('DELETE', object);
  for (const artifact of await after.list('/artifacts'))
    await after.call('DELETE', `/artifacts/${String(artifact['uuid'])}`);
  await waitUntil('the ledger is empty', () => ledgerEntries().length === 0, 60_000);
  assert.equal(await pieces(), [0, 0, 0]);
  assert.equal(readdirSync(join(dataDir, 'instances')), []);
});

test.run();
