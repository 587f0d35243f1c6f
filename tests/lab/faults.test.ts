// What a newcomer's bad luck looks like on the real machine: one clear sentence, the way out, and nothing half made.
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { rejects } from 'node:assert/strict';
import { ApiError } from '../../src/client/api-error.ts';
import type { View } from '../../src/client/client.ts';
import { ownedProcesses } from '../../src/embedded/owned-process.ts';
import {
  clientOf,
  daemonInstallation,
  freePort,
  serveDaemon,
  startDaemon,
  untilView,
  type RunningDaemon,
} from '../support/daemon.ts';
import { waitUntil } from '../support/wait.ts';

const test = suite('faults');
const installation = await daemonInstallation();
const { dataDir, runDir } = installation;
const daemon: RunningDaemon = await serveDaemon(installation, ['--no-tour']);
const client = clientOf(dataDir);

test.after(async () => {
  await daemon.interrupt();
  await installation.remove();
});

/** Runs a daemon that cannot start; resolves to what it says. */
async function refusal(more: readonly string[], at = installation): Promise<string> {
  const refused = startDaemon(at, ['--no-tour', ...more]);
  assert.is(await refused.ended, 1, refused.screen());
  return (
    refused
      .screen()
      .trim()
      .split('\n')
      .findLast((line) => line.startsWith('troupe: ')) ?? ''
  );
}

async function failedArtifact(url: string): Promise<string> {
  const { uuid } = await client.view('POST', '/artifacts', { url });
  const path = `/artifacts/${String(uuid)}`;
  await untilView(client, path, (view) => view['state'] === 'error', 90_000);
  const events = await client.list(`${path}/events`);
  const failed = events.find((event) => event['message'] === 'artifact fetch failed');
  await client.call('DELETE', path);
  const extra = (failed ?? {})['extra'] as View | undefined;
  return String(extra?.['reason']);
}

function pidOf(program: string): number {
  const found = ownedProcesses({ dataDir, runDir, namespaces: [] }).find(
    (one) => one.program === program,
  );
  assert.ok(found, `${program} runs`);
  return found.pid;
}

test('a second daemon on the same data directory names the first one', async () => {
  assert.match(await refusal([]), new RegExp(`\\b${daemon.process.pid}\\b`));
});

test('a taken API port is one sentence with the setting that changes it', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const other = await daemonInstallation();
  const flags = other.flags.with(1, String(port));
  const said = await refusal([], { ...other, flags });
  server.close();
  await other.remove();
  assert.match(said, new RegExp(`port ${port} .*taken by another program.*--api-port`));
});

test('an unknown setting and an impossible value say what is allowed', async () => {
  assert.match(await refusal(['--api-prot', '1']), /api-prot/);
  const flags = installation.flags.with(-1, '10.0.0.1/24');
  assert.match(await refusal([], { ...installation, flags }), /floating-block.*host bits/);
});

test('an etcd and a libvirtd that do not answer are named, with the way out', async () => {
  const other = await daemonInstallation();
  const port = await freePort();
  assert.match(
    await refusal(['--etcd', `http://127.0.0.1:${port}`], other),
    /no etcd answers.*--etcd/,
  );
  const socket = join(other.dataDir, 'nobody-listens');
  assert.match(await refusal(['--libvirt', socket], other), /no libvirtd answers.*--libvirt/);
  await other.remove();
});

test('an impossible netblock is refused before anything is made', async () => {
  const before = await client.list('/networks', { all: true });
  for (const netblock of ['10.0.0.1/24', '10.0.0.0/30', 'fd00::/64', '', 'x', null, 7]) {
    const asked = client.call('POST', '/networks', { name: 'bad', netblock });
    await rejects(asked, (error: unknown) => error instanceof ApiError && error.status === 400);
  }
  assert.is((await client.list('/networks', { all: true })).length, before.length);
});

test('an image that cannot be fetched puts its artifact into error, with the reason as an event', async () => {
  const port = await freePort();
  assert.match(await failedArtifact(`http://127.0.0.1:${port}/image.qcow2`), /127\.0\.0\.1/);
  const server = createHttpServer((_request, response) => response.writeHead(404).end()).listen(
    0,
    '127.0.0.1',
  );
  await once(server, 'listening');
  const { port: served } = server.address() as { port: number };
  assert.match(await failedArtifact(`http://127.0.0.1:${served}/image.qcow2`), /404/);
  server.close();
});

test('an image with a backing file on the host is refused, and an instance that waits for it says why', async () => {
  const path = join(dataDir, 'hostile.qcow2');
  writeFileSync(path, hostileQcow2('/etc/shadow'));
  const url = `file://${path}`;
  assert.match(await failedArtifact(url), /overlay on another file \(\/etc\/shadow\)/);
  const asked = await client.view('POST', '/instances', {
    name: 'victim',
    cpus: 1,
    memory: 64,
    disk: [{ base: url, size: 1 }],
  });
  const instance = await untilView(
    client,
    `/instances/${String(asked['uuid'])}`,
    (view) => view['state'] === 'error',
  );
  assert.match(String(instance['error_message']), /Image fetch failed: .*overlay on another file/);
  await client.call('DELETE', `/instances/${String(asked['uuid'])}`);
});

test('no node fits: the caller hears it at once, and the record says it', async () => {
  const asked = client.call('POST', '/instances', {
    name: 'giant',
    cpus: 1,
    memory: 100_000_000,
    disk: [{ size: 1 }],
  });
  await rejects(asked, (error: unknown) => error instanceof ApiError && error.status === 507);
  const [giant] = (await client.list('/instances')).filter((one) => one['name'] === 'giant');
  const path = `/instances/${String(giant?.['uuid'])}`;
  const view = await untilView(client, path, (one) => one['state'] === 'error');
  assert.match(String(view['error_message']), /RAM/);
  await client.call('DELETE', path);
  await untilView(client, path, (one) => one['state'] === 'deleted');
});

test('a killed etcd comes back, and the daemon goes on deciding', async () => {
  const pid = pidOf('etcd');
  process.kill(pid, 'SIGKILL');
  await waitUntil(
    'a network can be made again',
    async () => {
      try {
        const made = await client.view('POST', '/networks', {
          name: 'after',
          netblock: '10.88.0.0/24',
        });
        await untilView(
          client,
          `/networks/${String(made['uuid'])}`,
          (view) => view['state'] === 'created',
        );
        return true;
      } catch (error) {
        if (error instanceof ApiError) return false;
        throw error;
      }
    },
    60_000,
  );
  assert.is.not(pidOf('etcd'), pid);
});

test('a killed libvirtd comes back under a running instance, and the next one starts', async () => {
  const body = { cpus: 1, memory: 64, disk: [{ size: 1 }], side_channels: [] };
  const first = await client.view('POST', '/instances', { name: 'first', ...body });
  const isUp = (view: View) => view['state'] === 'created' && view['power_state'] === 'on';
  await untilView(client, `/instances/${String(first['uuid'])}`, isUp);
  const qemu = pidOf('qemu-system-x86_64');
  process.kill(pidOf('libvirtd'), 'SIGKILL');
  const second = await client.view('POST', '/instances', { name: 'second', ...body });
  await untilView(client, `/instances/${String(second['uuid'])}`, isUp, 90_000);
  const pids = ownedProcesses({ dataDir, runDir, namespaces: [] })
    .filter(({ program }) => program === 'qemu-system-x86_64')
    .map(({ pid }) => pid);
  assert.ok(pids.includes(qemu), 'the first guest was not disturbed');
});

test("a QEMU that is killed is started again, and the instance's events say so", async () => {
  const [first] = (await client.list('/instances')).filter((one) => one['name'] === 'first');
  const path = `/instances/${String(first?.['uuid'])}`;
  const before = pidOf('qemu-system-x86_64');
  process.kill(before, 'SIGKILL');
  await waitUntil('an event says that the domain was lost', async () => {
    const events = await client.list(`${path}/events`);
    return events.some((event) => String(event['message']).includes('lost'));
  });
  await untilView(
    client,
    path,
    (view) => view['state'] === 'created' && view['power_state'] === 'on',
  );
});

/** A qcow2 version 3 header with a backing file: all that a naive server would follow. */
function hostileQcow2(backing: string): Buffer {
  const header = Buffer.alloc(65_536);
  header.write('QFI\xfb', 0, 'latin1');
  header.writeUInt32BE(3, 4);
  header.writeBigUInt64BE(512n, 8);
  header.writeUInt32BE(backing.length, 16);
  header.writeUInt32BE(16, 20);
  header.writeBigUInt64BE(1024n ** 3n, 24);
  header.writeUInt32BE(104, 100);
  header.write(backing, 512, 'latin1');
  return header;
}

test.run();
