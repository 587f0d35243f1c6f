import { copyFileSync, mkdtempSync, rmSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { DomainDisk, DomainSpec } from '../../../../actors/instance/ports.ts';
import {
  channelSocket,
  defineDomain,
  digestOf,
} from '../../../../src/drivers/hypervisor/definition.ts';
import { findFirmware } from '../../../../src/drivers/hypervisor/firmware.ts';
import { cpuSpec, graphicsTypes } from '../../../../src/drivers/hypervisor/machine.ts';
import type { Machine } from '../../../../src/drivers/hypervisor/machine.ts';

const test = suite('hypervisor: definition');

const machine: Machine = {
  capabilities: {
    accelerator: 'tcg',
    cpuModel: 'max',
    warning: null,
    libvirtVersion: '9.0.0',
    qemuVersion: '7.2.22',
  },
  machineType: 'q35',
  hasSpice: true,
};
const consoles = {
  consoleListen: '127.0.0.1',
  consolePort: 30_001,
  vdiListen: '127.0.0.1',
  vdiPort: 30_002,
  vdiTlsPort: 0,
};

function disk(device: string, change: Partial<DomainDisk> = {}): DomainDisk {
  return {
    device,
    path: `/disks/${device}`,
    format: 'qcow2',
    media: 'disk',
    bus: 'virtio',
    readonly: false,
    ...change,
  };
}

const spec: DomainSpec = {
  instanceId: '6f0c1c52-3a55-4c0e-9a3a-5b1f6f5f2a10',
  name: 'web-01',
  namespace: 'lab',
  cpus: 2,
  memoryMiB: 2048,
  uefi: false,
  secureBoot: false,
  disks: [disk('vda')],
  nics: [{ tap: 'tap0', mac: '02:00:00:4e:91:0b', model: 'virtio', mtu: 1450 }],
  sideChannels: ['sf-agent'],
  video: { model: 'cirrus', memoryKiB: 16_384, vdi: 'spice' },
  power: 'on',
  powerOns: 1,
  hardReboots: 0,
  softReboots: 0,
};

const define = (change: Partial<DomainSpec> = {}, on: Machine = machine) =>
  defineDomain({ ...spec, ...change }, on, '/instances/x', consoles);

test('power and counters are not part of the definition, everything else is (D1)', () => {
  const digest = digestOf(define());
  assert.is(
    digestOf(define({ power: 'off', powerOns: 9, hardReboots: 9, softReboots: 9 })),
    digest,
  );
  const changes: Partial<DomainSpec>[] = [
    { cpus: 4 },
    { memoryMiB: 4096 },
    { name: 'web-02' },
    { disks: [] },
    { nics: [] },
    { sideChannels: [] },
    { video: { ...spec.video, vdi: 'vnc' } },
  ];
  for (const change of changes) assert.is.not(digestOf(define(change)), digest);
});

test('disks boot first, then CD-ROMs; the config drive never', () => {
  const disks = [
    disk('sda', { media: 'cdrom', bus: 'usb', readonly: true }),
    disk('vdb', { readonly: true }),
    disk('vdc'),
    disk('vdd'),
  ];
  const order = define({ disks }).disks?.map(({ target, bootOrder }) => [target, bootOrder]);
  assert.equal(order, [
    ['sda', 3],
    ['vdb', undefined],
    ['vdc', 1],
    ['vdd', 2],
  ]);
});

test('SPICE comes with its agent port and USB redirection; VNC without', () => {
  const names = (change: Partial<DomainSpec>, on = machine) => {
    const domain = define(change, on);
    return [domain.graphics?.[0]?.kind, domain.channels?.length, domain.usbRedirections];
  };
  const vdi = (kind: string) => ({ video: { ...spec.video, vdi: kind } });
  assert.equal(names(vdi('spice')), ['spice', 3, 3]);
  assert.equal(names(vdi('spiceconcurrent')), ['spice', 3, 3]);
  assert.equal(names(vdi('vnc')), ['vnc', 2, undefined]);
  assert.equal(names(vdi('spice'), { ...machine, hasSpice: false }), ['vnc', 2, undefined]);
});

test('secure boot brings q35 with it', () => {
  const pc: Machine = { ...machine, machineType: 'pc' };
  assert.is(define({}, pc).machine, 'pc');
  assert.is(define({ uefi: true, secureBoot: true }, pc).machine, 'q35');
});

test('no side channel name leaves the folder or makes the path too long (D3)', () => {
  for (const name of ['../../../etc/passwd', 'a/b', '', '.', '..', 'x'.repeat(300), 'a\0b']) {
    assert.match(channelSocket('/i', name), /^\/i\/sock\/[0-9a-f]{12}$/);
  }
  assert.is(channelSocket('/i', 'sf-agent'), '/i/sock/sf-agent');
});

test('a title is one line that XML can carry, whatever the instance is called', () => {
  const { title } = define({ name: `a\nb\u0000c\uFFFE${'x'.repeat(500)}` });
  assert.match(title ?? '', /^lab\/a b c x+$/);
  assert.is(title?.length, 200);
});

test('the probed CPU is said in terms of libvirt', () => {
  const cpu = (accelerator: 'kvm' | 'tcg', cpuModel: string) =>
    cpuSpec({ ...machine.capabilities, accelerator, cpuModel });
  assert.equal(cpu('kvm', 'host'), { mode: 'host-passthrough' });
  assert.equal(cpu('tcg', 'max'), { mode: 'maximum' });
  assert.equal(cpu('kvm', 'Nehalem'), { mode: 'custom', model: 'Nehalem' });
  assert.equal(cpu('tcg', 'qemu64').disabledFeatures, ['svm']);
});

test('the kinds of screen are read from the domain capabilities', () => {
  const xml = (inner: string) => `<domainCapabilities><devices>
    <video supported='yes'><enum name='modelType'><value>vga</value></enum></video>
    ${inner}</devices></domainCapabilities>`;
  const graphics = `<graphics supported='yes'>
      <enum name='type'><value>sdl</value><value>vnc</value><value>spice</value></enum>
    </graphics>`;
  assert.equal(graphicsTypes(xml(graphics)), ['sdl', 'vnc', 'spice']);
  assert.equal(graphicsTypes(xml("<graphics supported='no'/>")), []);
});

test('the NVRAM starts from the template, if its size is the firmware’s', () => {
  const stock = findFirmware(false).nvramTemplate;
  const dir = mkdtempSync(join(tmpdir(), 'troupe-nvram-'));
  try {
    const path = join(dir, 'template.fd');
    copyFileSync(stock, path);
    const { firmware } = define({ uefi: true, nvramTemplate: path });
    assert.is(firmware?.kind === 'uefi' ? firmware.nvramTemplate : '', path);
    truncateSync(path, 4_096);
    assert.throws(
      () => define({ uefi: true, nvramTemplate: path }),
      (error: Error) => error.message.includes('has 4096 bytes'),
    );
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test('missing firmware is an error with the way out', () => {
  assert.throws(
    () => findFirmware(true, '/nowhere'),
    (error: Error) => error.message.includes('install') && error.message.includes('ovmf'),
  );
});

test.run();
