// What the builder makes, taken by a real libvirtd and (where it matters) a real QEMU.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { connectLibvirt, type Libvirt } from '../../../src/drivers/libvirt/client.ts';
import type { DomainSpec } from '../../../src/drivers/libvirt/domain-spec.ts';
import { buildDomainXml, readDomainXml } from '../../../src/drivers/libvirt/domain-xml.ts';
import { startLibvirtd, type TestLibvirtd } from '../../support/libvirtd.ts';
import { seeded } from '../../unit/drivers/libvirt/seeded.ts';
import { tinySpec, withDomain } from './domains.ts';

const test = suite('domain XML on a real libvirtd');
/** Hostile to XML, to shells, to QEMU's option parser, and a path all the same. */
const HOSTILE = `a <b> & "c" 'd',e=f;g\\h %20 $(x) äöü 😀 ]]>--`;
const TAP = `trptap${process.pid}`;
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

test('a hostile name, title and metadata come back as they went in', async () => {
  const random = seeded(5);
  const values = [HOSTILE, ...Array.from({ length: 25 }, () => random.text(24))];
  for (const [index, value] of values.entries()) {
    const name = `n${index}${value.replaceAll(/[/\n\r\t]/g, '')}`;
    const title = `t${value.replaceAll('\n', '')}`;
    const metadata = { instance: value, epoch: 'e', trace: `"${value}"` };
    const xml = buildDomainXml(tinySpec({ name, title, metadata }));
    const domain = await libvirt.domains.define(xml, { validate: true });
    try {
      assert.is(domain.name, name);
      const read = readDomainXml(await libvirt.domains.xml(domain));
      assert.is(read.name, name);
      assert.is(read.title, title);
      assert.equal(read.metadata, metadata, JSON.stringify(value));
      assert.is((await libvirt.domains.findByName(name))?.uuid, domain.uuid);
    } finally {
      await libvirt.domains.undefine(domain);
    }
  }
});

test('QEMU opens disks, consoles and sockets at hostile paths', async () => {
  const directory = join(daemon.directory, HOSTILE.replaceAll('/', ''));
  mkdirSync(directory);
  const disk = (name: string, format: 'qcow2' | 'raw') => {
    const path = join(directory, name);
    execFileSync('qemu-img', ['create', '-q', '-f', format, path, '1M']);
    return { path, format } as const;
  };
  const log = join(directory, 'console.log');
  const spec: Partial<DomainSpec> = {
    disks: [
      { ...disk('root', 'qcow2'), bus: 'virtio', bootOrder: 1, discard: 'unmap', cache: 'none' },
      { ...disk('config', 'raw'), bus: 'virtio', readonly: true, serial: 'config-2' },
      { ...disk('nvme', 'qcow2'), bus: 'nvme', serial: 'a,b=c', bootOrder: 2 },
      { ...disk('cd', 'raw'), bus: 'sata', device: 'cdrom' },
      { ...disk('usb', 'raw'), bus: 'usb' },
      { ...disk('scsi', 'raw'), bus: 'scsi' },
    ],
    serial: { source: { kind: 'unix', path: join(directory, 'serial') }, log },
    channels: [
      { name: 'org.qemu.guest_agent.0' },
      { name: 'side "channel"', socket: join(daemon.directory, 'side') },
    ],
  };
  await withDomain(libvirt, spec, async (domain) => {
    const { disks, serial, channels } = readDomainXml(await libvirt.domains.xml(domain));
    assert.is(disks[0]?.path, join(directory, 'root'));
    assert.is(serial?.path, join(directory, 'serial'));
    assert.is(channels[1]?.name, 'side "channel"');
    assert.is(channels[0]?.connected, false);
    assert.ok(existsSync(log) && existsSync(join(daemon.directory, 'side')));
    const blocks = JSON.stringify(await libvirt.guest.monitor(domain, { execute: 'query-block' }));
    assert.ok(blocks.includes(JSON.stringify(join(directory, 'nvme')).slice(1, -1)));
  });
});

test('every part of a domain is valid to libvirt and QEMU, and starts', async () => {
  const spec: Partial<DomainSpec> = {
    title: 'everything',
    memoryMiB: 64,
    vcpus: 2,
    graphics: [{ kind: 'vnc', socket: join(daemon.directory, 'vnc') }],
    video: { model: 'virtio' },
    tablet: true,
    sound: 'ich6',
    rng: true,
    balloon: true,
    panicNotifier: true,
    hotplugPorts: 2,
    serial: { source: { kind: 'tcp', host: '127.0.0.1', port: 0, protocol: 'telnet' } },
    onPoweroff: 'destroy',
    onReboot: 'restart',
    onCrash: 'destroy',
    qemuArguments: ['-name', 'guest=x,debug-threads=off'],
  };
  await withDomain(libvirt, spec, async (domain) => {
    const { graphics, machine } = readDomainXml(await libvirt.domains.xml(domain));
    assert.equal(graphics, [{ kind: 'vnc', socket: join(daemon.directory, 'vnc') }]);
    assert.match(machine ?? '', /^pc-q35-/);
  });
});

test('each CPU mode that TCG has, both machines, and a VNC port of libvirt’s choice', async () => {
  const cpus: DomainSpec['cpu'][] = [{ mode: 'maximum' }, { mode: 'custom', model: 'Nehalem' }];
  for (const cpu of cpus) {
    const more = { machine: 'pc', cpu, graphics: [{ kind: 'vnc' }] } as const;
    await withDomain(libvirt, more as Partial<DomainSpec>, async (domain) => {
      const { graphics } = readDomainXml(await libvirt.domains.xml(domain));
      assert.is(graphics[0]?.listen, '127.0.0.1');
      assert.ok((graphics[0]?.port ?? 0) >= 5900);
    });
  }
});

test('what not every machine can start is valid all the same: KVM, the host’s CPU, SPICE', async () => {
  const specs: Partial<DomainSpec>[] = [
    { type: 'kvm', cpu: { mode: 'host-passthrough' } },
    { type: 'kvm', cpu: { mode: 'host-model', disabledFeatures: ['svm'] } },
    {
      graphics: [{ kind: 'spice', listen: '127.0.0.1', port: 5999, password: 'p&<"' }],
      video: { model: 'qxl', vramKiB: 32_768 },
      channels: [{ name: 'com.redhat.spice.0', spiceAgent: true }],
      usbRedirections: 2,
    },
    { directKernel: { kernel: '/boot/vmlinuz', initrd: '/boot/initrd', cmdline: 'a="b" & <c>' } },
  ];
  for (const spec of specs) {
    const xml = buildDomainXml(tinySpec(spec));
    const domain = await libvirt.domains.define(xml, { validate: true });
    await libvirt.domains.undefine(domain);
  }
});

test('a tap stays its owner’s: used by QEMU, neither made, changed nor removed by libvirt', async () => {
  const ip = (...words: string[]) => execFileSync('ip', words, { encoding: 'utf8' });
  const mtu = () => /mtu (\d+)/.exec(ip('link', 'show', TAP))?.[1];
  sweepTaps(ip);
  ip('tuntap', 'add', TAP, 'mode', 'tap');
  try {
    ip('link', 'set', TAP, 'mtu', '1400', 'up');
    const card = { source: { kind: 'tap', device: TAP }, mac: '52:54:00:12:34:56' } as const;
    await withDomain(libvirt, { interfaces: [{ ...card, mtu: 1400 }] }, async (domain) => {
      assert.match(ip('link', 'show', TAP), 'LOWER_UP');
      const { interfaces } = readDomainXml(await libvirt.domains.xml(domain));
      assert.is(interfaces[0]?.device, TAP);
      assert.is(interfaces[0]?.mac, card.mac);
      assert.is(mtu(), '1400');
    });
    assert.is(mtu(), '1400');
    assert.match(ip('link', 'show', TAP), 'NO-CARRIER');
  } finally {
    ip('link', 'del', TAP);
  }
});

test('UEFI: the variables are made from the template, kept on request, removed otherwise', async () => {
  const nvram = join(daemon.directory, 'nvram.fd');
  const firmware = {
    kind: 'uefi',
    loader: '/usr/share/OVMF/OVMF_CODE_4M.secboot.fd',
    nvram,
    nvramTemplate: '/usr/share/OVMF/OVMF_VARS_4M.fd',
    secureBoot: true,
  } as const;
  const xml = buildDomainXml(tinySpec({ firmware, memoryMiB: 64 }));
  const domain = await libvirt.domains.define(xml, { validate: true });
  await libvirt.domains.start(domain);
  const template = readFileSync(firmware.nvramTemplate);
  assert.is(readFileSync(nvram).length, template.length);
  assert.is(readDomainXml(await libvirt.domains.xml(domain)).nvram, nvram);
  await libvirt.domains.destroy(domain);
  await libvirt.domains.undefine(domain, { nvram: 'keep' });
  assert.ok(existsSync(nvram));
  const again = await libvirt.domains.define(xml);
  await libvirt.domains.start(again, { resetNvram: true, paused: true });
  assert.ok(readFileSync(nvram).equals(template));
  await libvirt.domains.destroy(again);
  await libvirt.domains.undefine(again);
  assert.not(existsSync(nvram));
});

/** Removes taps of test processes that are gone. */
function sweepTaps(ip: (...words: string[]) => string): void {
  for (const [, name = '', pid = ''] of ip('-br', 'link').matchAll(/^(trptap(\d+))/gm)) {
    if (!existsSync(`/proc/${pid}`)) ip('link', 'del', name);
  }
}

test.run();
