// What the real driver gives a guest: firmware, disks on every bus, consoles, channels, NICs.
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, statSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { connect as secureConnect } from 'node:tls';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { DomainDisk, DomainReport, DomainSpec } from '../../../actors/instance/ports.ts';
import { systemClock } from '../../../actors/kernel/clock.ts';
import { consoleAuthority, ensureConsoleCertificate } from '../../../src/daemon/console-tls.ts';
import { clusterKeys } from '../../../transport/store/keys.ts';
import { MemoryCluster } from '../../../transport/store/memory-cluster.ts';
import { MemoryStore } from '../../../transport/store/memory-store.ts';
import { boots, until, wantedBy } from './lab.ts';
import { LibvirtLab } from './libvirt-lab.ts';

const test = suite('hypervisor over libvirt: devices');
const run = promisify(execFile);
let lab: LibvirtLab;

let generation = 0;
const ensure = (spec: DomainSpec): Promise<DomainReport> =>
  lab.hypervisor.ensureDomain(spec, wantedBy(spec.instanceId, ++generation));
const remove = ({ instanceId }: DomainSpec): Promise<void> =>
  lab.hypervisor.removeDomain(instanceId, wantedBy(instanceId, ++generation));
const booted = (spec: DomainSpec, times: number) =>
  until(`boot ${times}`, async () => (await boots(lab, spec.instanceId)) === times);
const xmlOf = ({ instanceId }: DomainSpec) => lab.libvirtd.virsh('dumpxml', instanceId);
const folderOf = ({ instanceId }: DomainSpec) => join(lab.folder, 'instances', instanceId);

/** Of QEMU's query-block. */
interface Inserted {
  readonly ro: boolean;
  readonly image: { readonly filename: string };
}

async function blankDisk(
  name: string,
  more: Pick<DomainDisk, 'device' | 'bus'> & Partial<DomainDisk>,
): Promise<DomainDisk> {
  const path = join(lab.folder, `${name}.qcow2`);
  await run('qemu-img', ['create', '-q', '-f', 'qcow2', path, '1M']);
  return { path, format: 'qcow2', media: 'disk', readonly: false, ...more };
}

/** Connects and waits for the first bytes. */
async function greeting(port: number | null): Promise<{ socket: Socket; bytes: Buffer }> {
  const socket = connect(Number(port), '127.0.0.1');
  const [bytes] = (await once(socket, 'data')) as [Buffer];
  return { socket, bytes };
}

test.before(async () => {
  lab = await LibvirtLab.open();
});
test.after(() => lab.close());

test('the serial console is a telnet server that talks to the guest, and VNC answers on its port', async () => {
  const spec = await lab.newSpec();
  const { consolePort, vdiPort } = await ensure(spec);
  await booted(spec, 1);
  const serial = await greeting(consolePort);
  assert.is(serial.bytes[0], 0xff, 'telnet negotiation starts with IAC');
  let heard = '';
  serial.socket.on('data', (bytes: Buffer) => (heard += bytes.toString('latin1')));
  serial.socket.write('echo');
  await until('the guest to echo', () => heard.includes('echo'));
  serial.socket.destroy();
  const vnc = await greeting(vdiPort);
  assert.match(vnc.bytes.toString('latin1'), /^RFB 003/);
  vnc.socket.destroy();
  await remove(spec);
});

test('SPICE speaks TLS alone where there is a certificate, and shows that one', async () => {
  const dataDir = join(lab.libvirtd.directory, 'etc');
  const trace = 't';
  const authority = await consoleAuthority({
    store: new MemoryStore({ cluster: new MemoryCluster({ clock: systemClock }) }),
    keys: clusterKeys('test'),
    cluster: 'test',
    dataDir,
    trace,
  });
  const machine = { dataDir, node: 'hv-02', addresses: [], nowMs: Date.now(), trace };
  await ensureConsoleCertificate(authority, machine);
  const withTls = lab.newDaemon({ hasSpiceTls: true });
  await withTls.start();
  const video = { model: 'qxl', memoryKiB: 65_536, vdi: 'spice' };
  const spec = await lab.newSpec({ video });
  const wish = (change: Partial<DomainSpec> = {}) =>
    withTls.ensureDomain({ ...spec, ...change }, wantedBy(spec.instanceId, ++generation));
  try {
    // One that was started before the machine had a certificate gets its port with the next start.
    assert.is((await ensure(spec)).vdiTlsPort, null);
    assert.is((await wish()).vdiTlsPort, null);
    await wish({ power: 'off' });
    const { vdiPort, vdiTlsPort } = await wish({ powerOns: 2 });
    assert.is(withTls.screenKind('spiceconcurrent'), 'spice');
    assert.is.not(vdiTlsPort, null);
    const secured = secureConnect({
      host: '127.0.0.1',
      port: Number(vdiTlsPort),
      ca: authority.certificate,
      servername: 'hv-02',
    });
    await once(secured, 'secureConnect');
    assert.ok(secured.authorized);
    assert.is(await linkResult(secured), 0);
    const plain = connect(Number(vdiPort), '127.0.0.1');
    assert.is(await linkResult(plain), NEED_SECURED);
  } finally {
    await remove(spec);
    await withTls.close();
  }
});

const NEED_SECURED = 5;

/** What a SPICE server says to a client that wants its main channel. */
async function linkResult(socket: Socket): Promise<number> {
  const link = Buffer.alloc(34);
  link.write('REDQ', 0, 'latin1');
  link.writeUInt32LE(2, 4);
  link.writeUInt32LE(2, 8);
  link.writeUInt32LE(18, 12);
  // No connection yet; channel 1 is the main one, number 0; no capabilities, which would begin after this.
  link.writeUInt8(1, 20);
  link.writeUInt32LE(18, 30);
  socket.write(link);
  const [reply] = (await once(socket, 'data')) as [Buffer];
  socket.destroy();
  assert.is(reply.toString('latin1', 0, 4), 'REDQ');
  return reply.readUInt32LE(16);
}

test('SPICE is what an instance gets when it asks for it and QEMU has it', async () => {
  const spec = await lab.newSpec({ video: { model: 'qxl', memoryKiB: 65_536, vdi: 'spice' } });
  const { vdiPort } = await ensure(spec);
  const socket = connect(Number(vdiPort), '127.0.0.1');
  await once(socket, 'connect');
  socket.destroy();
  const xml = xmlOf(spec);
  assert.match(xml, /<graphics type='spice' port='\d+' autoport='no'/);
  assert.match(xml, /<channel type='spicevmc'>/);
  assert.is(xml.split('<redirdev').length - 1, 3);
  await remove(spec);
});

test('disks on every bus, the first one boots, the config drive is read-only', async () => {
  const spec = await lab.newSpec();
  const disks = [
    ...spec.disks,
    await blankDisk('config', { device: 'vdb', bus: 'virtio', readonly: true }),
    await blankDisk('sata', { device: 'sdc', bus: 'sata' }),
    await blankDisk('scsi', { device: 'sdd', bus: 'scsi' }),
    await blankDisk('usb', { device: 'sde', bus: 'usb' }),
    await blankDisk('nvme', { device: 'nvme5', bus: 'nvme' }),
    await blankDisk('cdrom', { device: 'sdg', bus: 'usb', media: 'cdrom', readonly: true }),
  ];
  assert.is((await ensure({ ...spec, disks })).power, 'on');
  await booted(spec, 1);
  const words = await run('sh', [
    '-c',
    `tr '\\0' '\\n' </proc/${lab.pidOf(spec.instanceId)}/cmdline`,
  ]);
  for (const device of ['virtio-blk-pci', 'ide-hd', 'scsi-hd', 'usb-storage', '"nvme"']) {
    assert.ok(words.stdout.includes(device), device);
  }
  assert.not.match(words.stdout, /locking|force-share/);
  assert.match(xmlOf(spec), /<target dev='vdb' bus='virtio'\/>\s*<readonly\/>/);
  await remove(spec);
});

test('a config drive starts on every bus that the first disk can be on, and the guest cannot write to it', async () => {
  for (const bus of ['virtio', 'sata', 'scsi', 'usb', 'nvme'] as const) {
    const device = bus === 'nvme' ? 'nvme1' : bus === 'virtio' ? 'vdb' : 'sdb';
    const drive = await blankDisk(`config-${bus}`, { device, bus, readonly: true });
    const spec = await lab.newSpec();
    assert.is((await ensure({ ...spec, disks: [...spec.disks, drive] })).power, 'on', bus);
    const query = JSON.stringify({ execute: 'query-block' });
    const blocks = lab.libvirtd.virsh('qemu-monitor-command', spec.instanceId, query);
    const found = (JSON.parse(blocks) as { return: { inserted?: Inserted }[] }).return.find(
      ({ inserted }) => inserted?.image.filename === drive.path,
    );
    assert.is(found?.inserted?.ro, true, bus);
    await remove(spec);
  }
});

test('a NIC takes the tap that somebody else made, and leaves it there', async () => {
  const tap = `hyp${process.pid}`.slice(0, 15);
  const mac = '02:00:00:4e:91:0b';
  const spec = await lab.newSpec({ nics: [{ tap, mac, model: 'virtio', mtu: 1450 }] });
  await run('ip', ['tuntap', 'add', 'dev', tap, 'mode', 'tap', 'vnet_hdr']);
  try {
    assert.is((await ensure(spec)).power, 'on');
    const { stdout } = await run('sh', ['-c', `cat /proc/${lab.pidOf(spec.instanceId)}/fdinfo/*`]);
    assert.match(stdout, new RegExp(`^iff:\\s*${tap}$`, 'm'), 'QEMU has it open');
    assert.match(xmlOf(spec), /<target dev='hyp\d+' managed='no'\/>/);
    assert.match(xmlOf(spec), /<mtu size='1450'\/>/);
    await remove(spec);
    await run('ip', ['link', 'show', tap]);
  } finally {
    await run('ip', ['link', 'del', tap]);
  }
});

test('what a running guest uses is counted: processor, memory, disk and NIC by their names', async () => {
  const tap = `hyp${process.pid}u`.slice(-15);
  const mac = '02:00:00:4e:91:0d';
  const spec = await lab.newSpec({ nics: [{ tap, mac, model: 'virtio', mtu: 1450 }] });
  const off = await lab.newSpec({ power: 'off', powerOns: 0 });
  await run('ip', ['tuntap', 'add', 'dev', tap, 'mode', 'tap', 'vnet_hdr']);
  try {
    await ensure(off);
    await ensure(spec);
    await booted(spec, 1);
    const all = await lab.hypervisor.usage();
    assert.equal(
      all.map(({ instanceId }) => instanceId),
      [spec.instanceId],
      'one that is off uses nothing',
    );
    const [usage] = all;
    assert.ok(Number(usage?.cpu.totalNs) > 1_000_000);
    assert.ok(Number(usage?.residentBytes) > 2 ** 20);
    const [disk] = usage?.disks ?? [];
    assert.is(disk?.device, 'vda');
    assert.ok(Number(disk?.readBytes) >= 512, 'the firmware has read the boot sector');
    assert.ok(Number(disk?.usedBytes) > 0);
    const nothing = { bytes: 0, packets: 0, errors: 0, drops: 0 };
    assert.is(usage?.nics[0]?.mac, mac);
    assert.equal(Object.keys(usage?.nics[0]?.read ?? {}), Object.keys(nothing));
    assert.is(usage?.oom, null, 'this libvirtd counts processes otherwise than we do');
    await remove(spec);
    assert.equal(await lab.hypervisor.usage(), []);
    await remove(off);
  } finally {
    await run('ip', ['link', 'del', tap]);
  }
});

for (const model of ['virtio', 'e1000']) {
  test(`a running guest is given another NIC (${model}) once, and has it after power off and on`, async () => {
    const [first, second] = ['a', 'b'].map((end) => `hyp${process.pid}${end}`.slice(-15)) as [
      string,
      string,
    ];
    const one = { tap: first, mac: '02:00:00:4e:91:0b', model: 'virtio', mtu: 1450 };
    const two = { tap: second, mac: '02:00:00:4e:91:0c', model, mtu: 1450 };
    const spec = await lab.newSpec({ nics: [one] });
    for (const tap of [first, second]) {
      await run('ip', ['tuntap', 'add', 'dev', tap, 'mode', 'tap', 'vnet_hdr']);
    }
    try {
      await ensure(spec);
      await booted(spec, 1);
      const pid = lab.pidOf(spec.instanceId);
      const plugged = { ...spec, nics: [one, two] };
      await ensure(plugged);
      await ensure(plugged);
      const macs = () => [...xmlOf(spec).matchAll(/<mac address='([^']+)'/g)].map(([, mac]) => mac);
      assert.equal(macs(), [one.mac, two.mac]);
      assert.is(lab.pidOf(spec.instanceId), pid, 'the same QEMU');
      const { stdout } = await run('sh', ['-c', `cat /proc/${pid}/fdinfo/*`]);
      assert.match(stdout, new RegExp(`^iff:\\s*${second}$`, 'm'), 'QEMU has its tap open');
      await ensure({ ...plugged, power: 'off' });
      await ensure({ ...plugged, powerOns: 2 });
      assert.equal(macs(), [one.mac, two.mac]);
      await remove(spec);
    } finally {
      for (const tap of [first, second]) await run('ip', ['link', 'del', tap]);
    }
  });
}

test('side channels listen in the instance folder under any name, and are gone after remove', async () => {
  const names = ['sf-agent', '../../x y&<', 'sf-agent', 'org.qemu.guest_agent.0'];
  const spec = await lab.newSpec({ sideChannels: names });
  await ensure(spec);
  const folder = join(folderOf(spec), 'sock');
  assert.ok(statSync(join(folder, 'sf-agent')).isSocket());
  const xml = xmlOf(spec);
  assert.match(xml, /name='org\.qemu\.guest_agent\.0'/);
  assert.match(xml, /name='\.\.\/\.\.\/x y&amp;&lt;'/);
  assert.is(xml.split("<target type='virtio' name=").length - 1, 3);
  await remove(spec);
  assert.not(existsSync(folder));
});

for (const secureBoot of [false, true]) {
  test(`UEFI ${secureBoot ? 'with' : 'without'} secure boot has variables of its own until it is removed`, async () => {
    const spec = await lab.newSpec({ uefi: true, secureBoot, memoryMiB: 128 });
    assert.is((await ensure(spec)).power, 'on');
    const nvram = join(folderOf(spec), 'nvram.fd');
    assert.ok(existsSync(nvram));
    assert.match(xmlOf(spec), secureBoot ? /secure='yes'/ : /OVMF_CODE_4M\.fd/);
    await ensure({ ...spec, power: 'off' });
    assert.ok(existsSync(nvram), 'variables outlive a power off');
    await remove(spec);
    assert.not(existsSync(nvram));
  });
}

test('a definition that changed while the guest ran is what the next power on uses (H1)', async () => {
  const spec = await lab.newSpec();
  await ensure(spec);
  await booted(spec, 1);
  const bigger = { ...spec, memoryMiB: 80 };
  await ensure(bigger);
  const memory = () => /<memory unit='KiB'>(\d+)</.exec(xmlOf(spec))?.[1];
  assert.is(memory(), String(48 * 1024));
  await ensure({ ...bigger, power: 'off' });
  await ensure({ ...bigger, powerOns: 2 });
  assert.is(memory(), String(80 * 1024));
  await remove(spec);
});

test('capabilities say what was probed and whose versions these are', () => {
  const { accelerator, cpuModel, libvirtVersion } = lab.hypervisor.capabilities;
  assert.equal({ accelerator, cpuModel }, { accelerator: 'tcg', cpuModel: 'qemu64' });
  assert.match(libvirtVersion, /^\d+\.\d+\.\d+$/);
});

test.run();
