import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { rejects } from 'node:assert/strict';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { checkEtcdHealth } from '../../../src/embedded/etcd-health.ts';
import { startEtcd, type EmbeddedEtcd } from '../../../src/embedded/etcd.ts';
import { claimRunDirectory } from '../../../src/embedded/run-directory.ts';
import { EtcdClient } from '../../../transport/store/etcd-client.ts';
import { makeInstallation, type TestInstallation } from '../../support/installation.ts';
import { waitUntil } from '../../support/wait.ts';

const test = suite('embedded etcd');

let installation: TestInstallation;
test.before.each(async () => {
  installation = await makeInstallation();
});
test.after.each(async () => {
  // Else they would start again what remove() ends.
  for (const etcd of started.splice(0)) await etcd.release();
  await installation.remove();
});

const started: EmbeddedEtcd[] = [];
async function start(): Promise<EmbeddedEtcd> {
  const { dataDir, runDir, logDir, log } = installation;
  const place = { dataDirectory: dataDir, runDirectory: runDir, logDirectory: logDir };
  await claimRunDirectory(runDir, dataDir);
  const etcd = await startEtcd({ ...place, trace: 'test', cluster: null }, log);
  started.push(etcd);
  return etcd;
}

async function withClient<T>(etcd: EmbeddedEtcd, use: (client: EtcdClient) => Promise<T>) {
  const client = new EtcdClient(await etcd.access());
  try {
    return await use(client);
  } finally {
    client.close();
  }
}

/** Ports in LISTEN of a process's sockets, with the address as the kernel writes it. */
function listeners(pid: number): string[] {
  const lines = ['tcp', 'tcp6'].flatMap((table) =>
    readFileSync(`/proc/${pid}/net/${table}`, 'latin1').split('\n').slice(1),
  );
  return lines
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , , state]) => state === '0A')
    .map(([, local = '']) => local);
}

test('it serves who has the key, and nobody else', async () => {
  const etcd = await start();
  const value = await withClient(etcd, async (client) => {
    await client.put('/a').value('1');
    return client.get('/a').string();
  });
  assert.is(value, '1');
  const { hosts, credentials } = await etcd.access();
  assert.ok(credentials);
  const withoutKey = { rootCertificate: credentials.rootCertificate };
  await rejects(checkEtcdHealth(hosts[0] ?? '', withoutKey, AbortSignal.timeout(5000)));
});

test('it listens on 127.0.0.1 only', async () => {
  const etcd = await start();
  const port = Number(new URL((await etcd.access()).hosts[0] ?? '').port);
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  const found = listeners(etcd.pid ?? 0).filter((local) => local.endsWith(`:${hex}`));
  assert.equal(found, [`0100007F:${hex}`]);
});

test('killed, it comes back by itself with its data and its address', async () => {
  const etcd = await start();
  const before = await etcd.access();
  await withClient(etcd, (client) => client.put('/kept').value('yes').exec());
  const pid = etcd.pid ?? 0;
  process.kill(pid, 'SIGKILL');
  await waitUntil('another etcd', () => etcd.pid !== undefined && etcd.pid !== pid);
  await waitUntil('it says it is up', () => installation.lines.at(-1) === 'info etcd is up');
  assert.equal((await etcd.access()).hosts, before.hosts);
  assert.is(await withClient(etcd, (client) => client.get('/kept').string()), 'yes');
  assert.ok(installation.lines.includes('error etcd has ended and is started again in 100 ms'));
  await etcd.stop();
});

test('a later daemon adopts it as it runs, and finds it again after a stop', async () => {
  const first = await start();
  await withClient(first, (client) => client.put('/kept').value('yes').exec());
  await first.release();
  const second = await start();
  assert.ok(second.isAdopted);
  assert.is(second.pid, first.pid);
  await second.stop();
  assert.is(second.pid, undefined);
  const third = await start();
  assert.not.ok(third.isAdopted);
  assert.equal((await third.access()).hosts, (await second.access()).hosts);
  assert.is(await withClient(third, (client) => client.get('/kept').string()), 'yes');
  await third.stop();
});

test('a port that somebody else took meanwhile is replaced', async () => {
  const first = await start();
  const port = Number(new URL((await first.access()).hosts[0] ?? '').port);
  await first.stop();
  const squatter = createServer().listen(port, '127.0.0.1');
  await once(squatter, 'listening');
  try {
    const second = await start();
    assert.is.not(Number(new URL((await second.access()).hosts[0] ?? '').port), port);
    await second.stop();
  } finally {
    squatter.close();
  }
});

test.run();
