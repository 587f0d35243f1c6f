// The client against a real libvirtd: events, calls in parallel, lost connections, rights; with virsh
// as the witness that is not ours.
import { rejects } from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { connectLibvirt, type Libvirt } from '../../../src/drivers/libvirt/client.ts';
import { readCapabilities } from '../../../src/drivers/libvirt/capabilities-reader.ts';
import { readDomainCapabilities } from '../../../src/drivers/libvirt/capabilities-reader.ts';
import { buildDomainXml } from '../../../src/drivers/libvirt/domain-xml.ts';
import { isLibvirtError, type LibvirtReason } from '../../../src/drivers/libvirt/errors.ts';
import { stateOfStats } from '../../../src/drivers/libvirt/host-calls.ts';
import type { LibvirtEvent } from '../../../src/drivers/libvirt/link.ts';
import { domainRef } from '../../../src/drivers/libvirt/wire.ts';
import { startLibvirtd, type TestLibvirtd } from '../../support/libvirtd.ts';
import { until } from '../../unit/drivers/libvirt/until.ts';
import { tinySpec, withDomain } from './domains.ts';

const test = suite('libvirt client on a real libvirtd');
let daemon: TestLibvirtd;
let libvirt: Libvirt;

test.before(async () => {
  daemon = await startLibvirtd();
  libvirt = await connectLibvirt({
    socketPath: daemon.socketPath,
    keepalive: { intervalMs: 500, misses: 8 },
  });
});

test.after(async () => {
  await libvirt?.close();
  await daemon?.stop();
});

/** Collects what happens to one domain as `event/detail` while `body` runs. */
async function lifeOf(uuid: string, body: () => Promise<void>, last: string): Promise<string[]> {
  const seen: string[] = [];
  const stop = libvirt.subscribe((event) => {
    if (event.kind === 'lifecycle' && event.domain.uuid === uuid) {
      seen.push(`${event.event}/${event.detail}`);
    }
  });
  try {
    await body();
    await until(() => seen.includes(last));
    return seen;
  } finally {
    stop();
  }
}

test("a domain's life is told by events, in order", async () => {
  const spec = tinySpec();
  const seen = await lifeOf(
    spec.uuid,
    async () => {
      const domain = await libvirt.domains.define(buildDomainXml(spec));
      await libvirt.domains.start(domain, { paused: true });
      await libvirt.domains.resume(domain);
      await libvirt.domains.suspend(domain);
      await libvirt.domains.destroy(domain);
      await libvirt.domains.undefine(domain);
    },
    'undefined/removed',
  );
  // QEMU may or may not get to say that it was told to end, before it is ended.
  const steps = seen.filter((step) => step !== 'shutdown/host');
  const started = ['defined/added', 'started/booted', 'suspended/paused', 'resumed/unpaused'];
  const ended = ['suspended/paused', 'stopped/destroyed', 'undefined/removed'];
  assert.equal(steps, started.concat(ended));
});

test('virsh and the client see the same domain, by UUID and by name', async () => {
  await withDomain(libvirt, {}, async (domain) => {
    assert.is(daemon.virsh('domstate', domain.uuid).trim(), 'running');
    assert.equal(await libvirt.domains.find(domain.uuid), domain);
    assert.equal(await libvirt.domains.findByName(domain.name), domain);
    daemon.virsh('suspend', domain.uuid);
    const paused = { state: 'paused', reason: 'user' };
    assert.equal(await libvirt.domains.state(domain), paused);
    const [stats] = await libvirt.host.stats({ domains: [domain], groups: ['state'] });
    assert.equal(stats && stateOfStats(stats), paused);
    const active = await libvirt.host.listDomains(['active']);
    assert.ok(active.some(({ uuid }) => uuid === domain.uuid));
  });
});

test('a UUID is all that libvirt needs to find a domain', async () => {
  await withDomain(libvirt, {}, async ({ uuid }) => {
    assert.is((await libvirt.domains.state(domainRef(uuid))).state, 'running');
  });
  assert.is(await libvirt.domains.find('00000000-0000-4000-8000-000000000000'), undefined);
  assert.is(await libvirt.domains.findByName('nobody'), undefined);
});

test('twelve domains are started and destroyed at once over one connection', async () => {
  const specs = Array.from({ length: 12 }, () => tinySpec({ memoryMiB: 16 }));
  const disconnected: LibvirtEvent[] = [];
  const stop = libvirt.subscribe((event) => {
    if (event.kind === 'disconnected') disconnected.push(event);
  });
  const domains = await Promise.all(
    specs.map((spec) => libvirt.domains.define(buildDomainXml(spec))),
  );
  try {
    await Promise.all(domains.map((domain) => libvirt.domains.start(domain)));
    const shown = daemon.virsh('list', '--uuid');
    for (const { uuid } of domains) assert.match(shown, uuid);
  } finally {
    await Promise.all(domains.map((domain) => libvirt.domains.destroy(domain)));
    await Promise.all(domains.map((domain) => libvirt.domains.undefine(domain)));
    stop();
  }
  // At five calls the daemon would stop reading, pings included, and the connection would be lost.
  assert.equal(disconnected, []);
});

test('capabilities are read: what this host and its QEMU can do', async () => {
  const host = readCapabilities(await libvirt.host.capabilities());
  assert.is(host.arch, 'x86_64');
  assert.ok(host.guests.some(({ arch, types }) => arch === 'x86_64' && types.includes('qemu')));
  const about = { type: 'qemu', machine: 'q35' } as const;
  const domain = readDomainCapabilities(await libvirt.host.domainCapabilities(about));
  assert.match(domain.machine, /^pc-q35-/);
  assert.ok(domain.maxVcpus > 1);
  assert.ok(domain.cpuModes.includes('custom'), String(domain.cpuModes));
  assert.ok(domain.usableCpuModels.includes('Nehalem'), String(domain.usableCpuModels));
  assert.ok(domain.loaders.every((path) => path.startsWith('/')));
  assert.ok(domain.diskBuses.includes('virtio') && !domain.diskBuses.includes('nvme'));
});

test('hypervisor and daemon tell their versions; the host tells its memory', async () => {
  const versions = await libvirt.host.versions();
  assert.match(daemon.virsh('version', '--daemon'), `daemon: ${versions.libvirt}`);
  const { model, cpus } = await libvirt.host.nodeInfo();
  assert.is(model, 'x86_64');
  assert.match(daemon.virsh('nodeinfo'), new RegExp(`CPU\\(s\\): +${cpus}\n`));
  const memory = await libvirt.host.memory();
  assert.ok((memory.get('total') ?? 0) > (memory.get('free') ?? 0));
});

test('a libvirtd killed and back: calls fail typed, the guest lives, events come again', async () => {
  await withDomain(libvirt, {}, async (domain) => {
    const threads = await vcpuThreads(domain.uuid);
    const kinds: string[] = [];
    const stop = libvirt.subscribe(({ kind }) => kinds.push(kind));
    daemon.crash({ hold: true });
    await until(() => !libvirt.connected);
    await rejects(libvirt.domains.state(domain), reason('disconnected'));
    daemon.resume();
    await until(() => libvirt.connected, 20_000);
    assert.equal(await libvirt.domains.state(domain), { state: 'running', reason: 'booted' });
    assert.is(await vcpuThreads(domain.uuid), threads);
    daemon.virsh('suspend', domain.uuid);
    await until(() => kinds.includes('lifecycle'));
    assert.equal(kinds.slice(0, 3), ['disconnected', 'connected', 'lifecycle']);
    stop();
  });
});

test('the read-only socket lets look and refuses to change', async () => {
  const viewer = await connectLibvirt({
    socketPath: daemon.readonlySocketPath,
    readonly: true,
  });
  try {
    await viewer.host.listDomains();
    const define = viewer.domains.define(buildDomainXml(tinySpec()));
    await rejects(define, reason('operation-denied'));
  } finally {
    await viewer.close();
  }
});

test('XML that libvirt cannot take is refused with its own words', async () => {
  await rejects(libvirt.domains.define('<domain'), reason('xml-detail'));
  await rejects(libvirt.domains.define('<domain type="qemu"><name>x</name></domain>'), (error) => {
    assert.ok(isLibvirtError(error));
    assert.is(error.domain, 20);
    return error.procedure === 'domain_define_xml_flags';
  });
  const xml = buildDomainXml(tinySpec()).replace('<vcpu>', '<vcpu nonsense="1">');
  await rejects(libvirt.domains.define(xml, { validate: true }), reason('xml-invalid-schema'));
});

test('a daemon that asks a plain user for polkit is refused with the way out', async () => {
  const strict = await startLibvirtd({
    conf: { auth_unix_rw: 'polkit', unix_sock_rw_perms: '0777' },
  });
  try {
    chmodSync(strict.directory, 0o755);
    const client = new URL('../../../src/drivers/libvirt/client.ts', import.meta.url).href;
    // Loads as root: the checkout may be in a home that is closed to others.
    const script = `import { connectLibvirt } from ${JSON.stringify(client)};
      process.setgroups([]); process.setgid(65534); process.setuid(65534);
      await connectLibvirt({ socketPath: process.argv[1] }).catch((e) => console.log(e.message));`;
    const words = ['--input-type=module', '-e', script, strict.socketPath];
    const child = spawnSync(process.execPath, words, { encoding: 'utf8' });
    assert.match(child.stdout, /polkit.*auth_unix_rw = "none"/, child.stderr);
  } finally {
    await strict.stop();
  }
});

function reason(expected: LibvirtReason) {
  return (error: unknown) => {
    assert.ok(isLibvirtError(error, expected), String(error));
    return true;
  };
}

/** The threads of the one QEMU that runs this domain: others after a restart of QEMU. */
async function vcpuThreads(uuid: string): Promise<string> {
  const domain = await libvirt.domains.find(uuid);
  if (domain === undefined) throw new Error(`no domain ${uuid}`);
  const info = await libvirt.guest.monitor(domain, { execute: 'query-cpus-fast' });
  return JSON.stringify(info);
}

test.run();
