// The typed calls mean what they say: each is used, and virsh or libvirt's XML tells what came of it.
import { rejects } from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { connectLibvirt, type Libvirt } from '../../../src/drivers/libvirt/client.ts';
import { buildCopyDestinationXml } from '../../../src/drivers/libvirt/domain-device-xml.ts';
import { buildDiskXml, buildInterfaceXml } from '../../../src/drivers/libvirt/domain-device-xml.ts';
import { buildMetadataXml, METADATA_PREFIX } from '../../../src/drivers/libvirt/domain-metadata.ts';
import { METADATA_URI } from '../../../src/drivers/libvirt/domain-metadata.ts';
import { buildDomainXml, readDomainXml } from '../../../src/drivers/libvirt/domain-xml.ts';
import { isLibvirtError, type LibvirtReason } from '../../../src/drivers/libvirt/errors.ts';
import type { DomainRef } from '../../../src/drivers/libvirt/wire.ts';
import { startLibvirtd, type TestLibvirtd } from '../../support/libvirtd.ts';
import { until } from '../../unit/drivers/libvirt/until.ts';
import { tinySpec, withDomain } from './domains.ts';

const test = suite('libvirt calls on a real libvirtd');
let daemon: TestLibvirtd;
let libvirt: Libvirt;

test.before(async () => {
  daemon = await startLibvirtd();
  libvirt = await connectLibvirt({ socketPath: daemon.socketPath });
});

test.after(async () => {
  await libvirt?.close();
  await daemon?.stop();
});

function reason(expected: LibvirtReason) {
  return (error: unknown) => {
    assert.ok(isLibvirtError(error, expected), String(error));
    return true;
  };
}

/** A qcow2 image with 1 MiB of data, over a base when one is given. */
function image(name: string, base?: string): string {
  const path = join(daemon.directory, name);
  const words = base === undefined ? [path, '4M'] : ['-b', base, '-F', 'qcow2', path];
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', ...words]);
  execFileSync('qemu-io', ['-c', 'write -q 0 1M', path]);
  return path;
}

async function pathOf(domain: DomainRef, target: string): Promise<string | undefined> {
  const { disks } = readDomainXml(await libvirt.domains.xml(domain));
  return disks.find((disk) => disk.target === target)?.path;
}

test('a domain is started paused and ends with its connection when told so', async () => {
  const owner = await connectLibvirt({ socketPath: daemon.socketPath });
  const domain = await libvirt.domains.define(buildDomainXml(tinySpec()));
  try {
    await owner.domains.start(domain, { paused: true, autodestroy: true });
    assert.equal(await libvirt.domains.state(domain), { state: 'paused', reason: 'user' });
    await owner.close();
    await until(async () => (await libvirt.domains.state(domain)).state === 'shutoff');
  } finally {
    await owner.close();
    await libvirt.domains.undefine(domain);
  }
});

test('a running domain that is undefined runs on and is gone when it stops', async () => {
  const defined = await libvirt.domains.define(buildDomainXml(tinySpec()));
  const domain = await libvirt.domains.start(defined);
  await libvirt.domains.undefine(domain);
  const listed = await libvirt.host.listDomains(['transient']);
  assert.ok(listed.some(({ uuid }) => uuid === domain.uuid));
  await libvirt.domains.destroy(domain);
  assert.is(await libvirt.domains.find(domain.uuid), undefined);
});

test('what does not fit the state is refused, and the domain stays as it was', async () => {
  await withDomain(libvirt, {}, async (domain) => {
    await rejects(libvirt.domains.start(domain), reason('operation-invalid'));
    await rejects(
      libvirt.domains.shutdown(domain, { by: 'agent' }),
      reason('argument-unsupported'),
    );
    await libvirt.domains.reset(domain);
    await libvirt.domains.shutdown(domain, { by: 'acpi' });
    assert.is((await libvirt.domains.state(domain)).state, 'running');
    await libvirt.domains.destroy(domain);
    await rejects(libvirt.domains.destroy(domain), reason('operation-invalid'));
    await rejects(libvirt.domains.suspend(domain), reason('operation-invalid'));
  });
});

test('devices are attached to the running domain, the stored one, or both', async () => {
  await withDomain(libvirt, { hotplugPorts: 3 }, async (domain) => {
    const disk = (target: string) =>
      buildDiskXml({ path: image(target), format: 'qcow2', bus: 'virtio', target });
    const targets = async (inactive: boolean) => {
      const { disks } = readDomainXml(await libvirt.domains.xml(domain, { inactive }));
      return disks.map(({ target }) => target);
    };
    await libvirt.domains.attachDevice(domain, disk('vda'), { target: 'live' });
    await libvirt.domains.attachDevice(domain, disk('vdb'), { target: 'config' });
    await libvirt.domains.attachDevice(domain, disk('vdc'), { target: 'both' });
    assert.equal(await targets(false), ['vda', 'vdc']);
    assert.equal(await targets(true), ['vdb', 'vdc']);
    await libvirt.domains.detachDevice(domain, disk('vdb'), { target: 'config' });
    assert.equal(await targets(true), ['vdc']);
  });
});

test('the medium of a CD drive is changed while it runs', async () => {
  const cd = (path: string) =>
    ({ path, format: 'qcow2', bus: 'sata', device: 'cdrom', target: 'sda' }) as const;
  await withDomain(libvirt, { disks: [cd(image('first'))] }, async (domain) => {
    await libvirt.domains.updateDevice(domain, buildDiskXml(cd(image('second'))));
    assert.is(await pathOf(domain, 'sda'), join(daemon.directory, 'second'));
  });
});

test('a network card on a bridge that is not there is refused, and nothing is added', async () => {
  await withDomain(libvirt, { hotplugPorts: 1 }, async (domain) => {
    const source = { kind: 'bridge', bridge: 'trpnobridge' } as const;
    const xml = buildInterfaceXml({ source, mac: '52:54:00:00:00:02' });
    await rejects(libvirt.domains.attachDevice(domain, xml), (error) => isLibvirtError(error));
    assert.equal(readDomainXml(await libvirt.domains.xml(domain)).interfaces, []);
  });
});

test("the owner's mark is changed on a running domain, and removed", async () => {
  const metadata = { instance: 'i', generation: '1' };
  await withDomain(libvirt, { metadata }, async (domain) => {
    const about = { prefix: METADATA_PREFIX, uri: METADATA_URI, target: 'both' } as const;
    const read = async (inactive: boolean) =>
      readDomainXml(await libvirt.domains.xml(domain, { inactive })).metadata;
    const xml = buildMetadataXml({ instance: `<"&'>`, generation: '2' });
    await libvirt.domains.setMetadata(domain, { ...about, xml });
    assert.equal(await read(false), { instance: `<"&'>`, generation: '2' });
    assert.equal(await read(true), { instance: `<"&'>`, generation: '2' });
    await libvirt.domains.setMetadata(domain, { ...about, xml: null });
    assert.is(await read(false), undefined);
  });
});

test('a disk is mirrored, cancelled, and pivoted to', async () => {
  const path = image('mirror-from');
  await withDomain(
    libvirt,
    { disks: [{ path, format: 'qcow2', bus: 'virtio' }] },
    async (domain) => {
      const disk = { domain, disk: 'vda' };
      const destination = (name: string) =>
        buildCopyDestinationXml(join(daemon.directory, name), 'qcow2');
      const slowly = { destinationXml: destination('c1'), bandwidthBytesPerS: 65_536n };
      await libvirt.block.copy(disk, { ...slowly, transientJob: true });
      const job = await libvirt.block.job(disk);
      assert.is(job?.type, 'copy');
      assert.is(job?.bandwidthBytesPerS, 65_536n);
      await rejects(libvirt.block.endJob(disk, 'pivot'), reason('block-copy-active'));
      await libvirt.block.endJob(disk, 'cancel');
      assert.is(await pathOf(domain, 'vda'), path);
      await libvirt.block.copy(disk, { destinationXml: destination('c2'), transientJob: true });
      await pivot(disk);
      assert.is(await pathOf(domain, 'vda'), join(daemon.directory, 'c2'));
      assert.is(await libvirt.block.job(disk), undefined);
    },
  );
});

test('the active layer is committed into the one below; a chain is pulled into one', async () => {
  const top = image('layer-top', image('layer-base'));
  const spec = { disks: [{ path: top, format: 'qcow2', bus: 'virtio' }] } as const;
  await withDomain(libvirt, spec, async (domain) => {
    const disk = { domain, disk: 'vda' };
    await libvirt.block.commit(disk);
    await pivot(disk);
    assert.is(await pathOf(domain, 'vda'), join(daemon.directory, 'layer-base'));
  });
  const second = { ...spec, disks: [{ ...spec.disks[0], path: image('pull', top) }] } as const;
  await withDomain(libvirt, second, async (domain) => {
    const disk = { domain, disk: 'vda' };
    const layers = async () => {
      const about = { domains: [domain], groups: ['block'], backing: true } as const;
      const [stats] = await libvirt.host.stats(about);
      return stats?.values.get('block.count');
    };
    assert.ok(Number(await layers()) >= 2);
    await libvirt.block.pull(disk);
    await until(async () => (await libvirt.block.job(disk)) === undefined);
    assert.is(await layers(), 1);
  });
});

test('a disk grows for the running guest', async () => {
  const spec = { disks: [{ path: image('grow'), format: 'qcow2', bus: 'virtio' }] } as const;
  await withDomain(libvirt, spec, async (domain) => {
    await libvirt.block.resize({ domain, disk: 'vda' }, 8n * 1024n * 1024n);
    const [stats] = await libvirt.host.stats({ domains: [domain], groups: ['block'] });
    assert.is(stats?.values.get('block.0.capacity'), 8n * 1024n * 1024n);
  });
});

test('autostart is set and taken back; a domain without an agent says so', async () => {
  await withDomain(libvirt, {}, async (domain) => {
    await libvirt.domains.setAutostart(domain, true);
    assert.match(daemon.virsh('list', '--all', '--autostart', '--uuid'), domain.uuid);
    await libvirt.domains.setAutostart(domain, false);
    assert.not.match(daemon.virsh('list', '--all', '--autostart', '--uuid'), domain.uuid);
    const ping = libvirt.guest.agent(domain, { execute: 'guest-ping' });
    await rejects(ping, reason('argument-unsupported'));
    await rejects(libvirt.guest.freeze(domain), reason('argument-unsupported'));
  });
  const channels = [{ name: 'org.qemu.guest_agent.0' }];
  await withDomain(libvirt, { channels }, async (domain) => {
    const ping = libvirt.guest.agent(domain, { execute: 'guest-ping' });
    await rejects(ping, reason('agent-unresponsive'));
  });
});

/** A job whose bytes are all there may not be ready yet: libvirt refuses to pivot until QEMU has said so. */
async function pivot(disk: { domain: DomainRef; disk: string }): Promise<void> {
  const pivots = async () => {
    try {
      await libvirt.block.endJob(disk, 'pivot');
      return true;
    } catch (error) {
      if (isLibvirtError(error, 'block-copy-active')) return false;
      throw error;
    }
  };
  await until(pivots, 20_000);
}

test.run();
