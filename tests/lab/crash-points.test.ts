// The daemon is killed at every boundary of every effect of an instance's life, on the real drivers, and started again:
// what was begun is finished, once.
//
// A point is `kind/effect/stage`: `before` an effect is carried out, `performed` before its outcome is written.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ApiError } from '../../src/client/api-error.ts';
import type { Client, View } from '../../src/client/client.ts';
import { exec } from '../../src/drivers/exec.ts';
import { Ledger } from '../../src/drivers/ledger.ts';
import { findLeftovers } from '../../src/embedded/leftovers.ts';
import {
  clientOf,
  daemonInstallation,
  serveDaemon,
  SERVING,
  startDaemon,
  untilView,
  type RunningDaemon,
} from '../support/daemon.ts';
import { waitUntil } from '../support/wait.ts';

const MAKING = [
  'artifact/fetch-version',
  'artifact/tell-waiters',
  'blob/fetch',
  'blob/tell-users',
  'blob/place-copies',
  'network/claim-vni',
  'network/reserve-egress',
  'network/sync-segments',
  'interface/reserve',
  'interface/tell-instance',
  'interface/attach',
  'instance/create-interfaces',
  'instance/place',
  'instance/start-preflight',
  'instance/request-images',
  'instance/place-interfaces',
  'instance/sync-domain',
];
const REMOVING = [
  'instance/remove-domain',
  'instance/delete-interfaces',
  'instance/release-images',
  'interface/release',
  'network/tear-down',
  'artifact/release-blobs',
  'blob/remove-replicas',
];
const STAGES = ['before', 'performed'];
/** Its outcome comes from the interfaces, usually before the effect itself has ended; then it is called off. */
const UNREACHABLE = ['instance/delete-interfaces/performed'];

const test = suite('crash points');
const installation = await daemonInstallation();
const { dataDir } = installation;
// Nothing has to boot from it: what is looked at is what exists, not what runs inside.
const imageFile = join(dataDir, 'empty.qcow2');
await exec('qemu-img', ['create', '-f', 'qcow2', imageFile, '16M'], { trace: 'test' });
const image = `file://${imageFile}`;
let daemon: RunningDaemon = await serveDaemon(installation, ['--no-tour']);

test.after(async () => {
  await daemon.interrupt();
  await installation.remove();
});

/** Repeats a step while the daemon is being killed under it; a step finds what an earlier try has made. */
async function whileItDies<T>(step: (client: Client) => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await step(clientOf(dataDir));
    } catch (error) {
      if (!(error instanceof ApiError) || (error.status !== 0 && error.status < 500)) throw error;
      await revive();
    }
  }
}

/** Starts the daemon again, without its crash point, if it is dead. */
async function revive(): Promise<void> {
  const state = await Promise.race([daemon.ended.then(() => 'dead'), Promise.resolve('alive')]);
  if (state === 'alive' && daemon.process.exitCode === null && daemon.process.signalCode === null)
    return;
  daemon = await serveDaemon(installation, ['--no-tour']);
}

/** Some points are met while it starts, when what an earlier test left deleted is looked through. */
async function restartWith(point: string): Promise<RunningDaemon> {
  await daemon.kill();
  daemon = startDaemon(installation, ['--no-tour', '--crash-point', point]);
  const doomed = daemon;
  await waitUntil(
    'it serves or is dead',
    () => isDead(doomed) || doomed.screen().includes(SERVING),
    60_000,
  );
  return doomed;
}

function isDead({ process: { exitCode, signalCode } }: RunningDaemon): boolean {
  return exitCode !== null || signalCode !== null;
}

async function byName(client: Client, collection: string): Promise<View | undefined> {
  const all = await client.list(`/${collection}`);
  return all.find((one) => one['name'] === 'crash' || one['source_url'] === image);
}

async function make(): Promise<void> {
  await whileItDies((client) => client.call('POST', '/artifacts', { url: image }));
  const network = await whileItDies(
    async (client) =>
      (await byName(client, 'networks')) ??
      (await client.view('POST', '/networks', { name: 'crash', netblock: '10.99.0.0/24' })),
  );
  await settled(`/networks/${String(network['uuid'])}`, 'created');
  const instance = await whileItDies(
    async (client) =>
      (await byName(client, 'instances')) ??
      (await client.view('POST', '/instances', {
        name: 'crash',
        cpus: 1,
        memory: 64,
        disk: [{ base: image, size: 1 }],
        network: [{ network_uuid: 'crash' }],
        side_channels: [],
        video: { model: 'cirrus', memory: 16384, vdi: 'vnc' },
      })),
  );
  await settled(`/instances/${String(instance['uuid'])}`, 'created');
}

/** Waits for the state through the daemon's death. */
async function settled(path: string, state: string): Promise<void> {
  await whileItDies((client) => untilView(client, path, (view) => view['state'] === state, 90_000));
}

async function removeAll(): Promise<void> {
  for (const collection of ['instances', 'networks', 'artifacts']) {
    const found = await whileItDies((client) => byName(client, collection));
    if (found === undefined) continue;
    const path = `/${collection}/${String(found['uuid'])}`;
    await whileItDies((client) => client.call('DELETE', path)).catch(ignoreGone);
    await settled(path, 'deleted');
  }
  await waitUntil('no blob is left', async () => {
    await revive();
    return readdirSync(join(dataDir, 'blobs')).every((name) => name.startsWith('.'));
  });
}

function ignoreGone(error: unknown): void {
  if (!(error instanceof ApiError) || error.status !== 404) throw error;
}

/** Exactly one of each on the machine. */
async function assertOneOfEach(): Promise<void> {
  const client = clientOf(dataDir);
  const instance = await byName(client, 'instances');
  const id = String(instance?.['uuid']);
  assert.equal(readdirSync(join(dataDir, 'instances')), [id]);
  const { processes, namespaces } = await findLeftovers(installation);
  assert.is(processes.filter(({ program }) => program.startsWith('qemu')).length, 1);
  assert.is(namespaces.length, 1);
  const addresses = await client.list('/networks/crash/addresses');
  assert.is(addresses.filter((one) => one['type'] === 'instance').length, 1);
  assert.equal(await client.call('GET', '/stuck'), []);
}

async function assertNothingLeft(): Promise<void> {
  // Forgotten after it is removed: the file goes first.
  await waitUntil('the ledger is empty', () => ledgerEntries().length === 0);
  const { processes, namespaces, links, tables } = await findLeftovers(installation);
  assert.equal(
    processes.filter(({ program }) => program.startsWith('qemu')),
    [],
  );
  assert.equal({ namespaces, links, tables }, { namespaces: [], links: [], tables: [] });
  assert.equal(readdirSync(join(dataDir, 'instances')), []);
}

function ledgerEntries(): string[] {
  const ledger = new Ledger(join(dataDir, 'ledger.db'));
  const entries = ledger.list().map(({ resource, name }) => `${resource} ${name}`);
  ledger.close();
  return entries;
}

/** The daemon that was given the point has killed itself there. */
async function assertDied(doomed: RunningDaemon): Promise<void> {
  await waitUntil('the daemon comes to its crash point', () => isDead(doomed), 10_000);
  assert.is(await doomed.ended, 'SIGKILL', doomed.screen());
}

for (const effect of MAKING) {
  for (const stage of STAGES) {
    const point = `${effect}/${stage}`;
    test(`killed at ${point}: the instance runs all the same, and everything matches`, async () => {
      await removeAll();
      const doomed = await restartWith(point);
      await make();
      await assertDied(doomed);
      await revive();
      await assertOneOfEach();
      await removeAll();
      await assertNothingLeft();
    });
  }
}

for (const effect of REMOVING) {
  for (const stage of STAGES) {
    const point = `${effect}/${stage}`;
    if (UNREACHABLE.includes(point)) continue;
    test(`killed at ${point}: all is gone all the same`, async () => {
      await removeAll();
      await make();
      const doomed = await restartWith(point);
      await removeAll();
      await assertDied(doomed);
      await revive();
      await assertNothingLeft();
    });
  }
}

test.run();
