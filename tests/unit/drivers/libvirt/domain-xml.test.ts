import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { nvmeArguments, withTargets } from '../../../../src/drivers/libvirt/domain-device-xml.ts';
import type { DiskSpec, DomainSpec } from '../../../../src/drivers/libvirt/domain-spec.ts';
import { buildDomainXml, readDomainXml } from '../../../../src/drivers/libvirt/domain-xml.ts';
import {
  childOf,
  childrenOf,
  descend,
  parseXml,
} from '../../../../src/drivers/libvirt/xml-reader.ts';
import { isLibvirtError } from '../../../../src/drivers/libvirt/errors.ts';

const test = suite('domain-xml');

const SPEC: DomainSpec = {
  name: 'vm1',
  uuid: '01234567-89ab-cdef-0123-456789abcdef',
  type: 'qemu',
  memoryMiB: 64,
  vcpus: 1,
};
const DISK: DiskSpec = { path: '/d', format: 'qcow2', bus: 'virtio' };

function build(more: Partial<DomainSpec>) {
  return parseXml(buildDomainXml({ ...SPEC, ...more }));
}

test('what is built is read back', () => {
  const metadata = { instance: 'i1', epoch: '12', generation: '3', trace: 't' };
  const xml = buildDomainXml({
    ...SPEC,
    title: 'a <title>',
    metadata,
    disks: [DISK, { ...DISK, path: '/cd', format: 'raw', device: 'cdrom', bus: 'sata' }],
    interfaces: [{ source: { kind: 'tap', device: 'tap0' }, mac: '52:54:00:00:00:01', mtu: 1400 }],
    serial: { source: { kind: 'unix', path: '/run/console' }, log: '/var/log/console' },
    graphics: [{ kind: 'vnc', port: 5901, listen: '0.0.0.0' }],
    channels: [{ name: 'org.qemu.guest_agent.0' }, { name: 'side', socket: '/run/side' }],
  });
  assert.equal(readDomainXml(xml), {
    type: 'qemu',
    name: 'vm1',
    uuid: SPEC.uuid,
    title: 'a <title>',
    metadata,
    machine: 'q35',
    memoryKiB: 64,
    vcpus: 1,
    disks: [
      { target: 'vda', bus: 'virtio', device: 'disk', path: '/d', format: 'qcow2' },
      { target: 'sda', bus: 'sata', device: 'cdrom', path: '/cd', format: 'raw' },
    ],
    interfaces: [{ type: 'ethernet', mac: '52:54:00:00:00:01', device: 'tap0' }],
    serial: { type: 'unix', path: '/run/console', log: '/var/log/console' },
    graphics: [{ kind: 'vnc', port: 5901, listen: '0.0.0.0' }],
    channels: [{ name: 'org.qemu.guest_agent.0' }, { name: 'side', path: '/run/side' }],
  });
});

test('a tap is left to its owner', () => {
  const root = build({ interfaces: [{ source: { kind: 'tap', device: 't' }, mac: 'm' }] });
  const target = descend(root, 'devices', 'interface', 'target');
  assert.equal(target?.attributes, { dev: 't', managed: 'no' });
});

test('UEFI with secure boot turns SMM on and names the template of the variables', () => {
  const firmware = { kind: 'uefi', loader: '/c', nvram: '/n', nvramTemplate: '/t' } as const;
  const root = build({ firmware: { ...firmware, secureBoot: true } });
  assert.is(descend(root, 'os', 'loader')?.attributes['secure'], 'yes');
  assert.is(descend(root, 'os', 'nvram')?.attributes['template'], '/t');
  assert.is(descend(root, 'features', 'smm')?.attributes['state'], 'on');
  const plain = build({ firmware });
  assert.is(descend(plain, 'features', 'smm'), undefined);
});

test('a named CPU model is exact, unchecked, and without the features it shall not have', () => {
  const cpu = childOf(
    build({ cpu: { mode: 'custom', model: 'qemu64', disabledFeatures: ['svm'] } }),
    'cpu',
  );
  assert.equal(cpu?.attributes, { mode: 'custom', match: 'exact', check: 'none' });
  assert.equal(childOf(cpu, 'feature')?.attributes, { policy: 'disable', name: 'svm' });
});

test('no balloon unless asked for, because libvirt adds one by itself', () => {
  const model = (more: Partial<DomainSpec>) =>
    descend(build(more), 'devices', 'memballoon')?.attributes['model'];
  assert.is(model({}), 'none');
  assert.is(model({ balloon: true }), 'virtio');
});

test('backing layers are nested, and an empty list ends the chain', () => {
  const backing = [{ path: '/base', format: 'qcow2' }] as const;
  const disk = descend(build({ disks: [{ ...DISK, backing }] }), 'devices', 'disk');
  assert.is(descend(disk, 'backingStore', 'source')?.attributes['file'], '/base');
  assert.equal(descend(disk, 'backingStore', 'backingStore')?.children, []);
  const alone = descend(build({ disks: [{ ...DISK, backing: [] }] }), 'devices', 'disk');
  assert.equal(childOf(alone, 'backingStore')?.children, []);
  const followed = descend(build({ disks: [DISK] }), 'devices', 'disk');
  assert.is(childOf(followed, 'backingStore'), undefined);
});

test('a read-only SATA disk is a CD-ROM, the only read-only one that libvirt takes there', () => {
  for (const bus of ['virtio', 'sata', 'scsi', 'usb'] as const) {
    const disk = descend(build({ disks: [{ ...DISK, bus, readonly: true }] }), 'devices', 'disk');
    assert.is(disk?.attributes['device'], bus === 'sata' ? 'cdrom' : 'disk', bus);
    assert.ok(descend(disk, 'readonly'), bus);
  }
});

test('disks without a target get the next free one of their bus', () => {
  const disks = [DISK, { ...DISK, target: 'vda' }, { ...DISK, bus: 'sata' }, DISK] as const;
  assert.equal(
    withTargets(disks).map(({ target }) => target),
    ['vdb', 'vda', 'sda', 'vdc'],
  );
  const many = withTargets(Array.from({ length: 53 }, () => DISK));
  assert.is(many[25]?.target, 'vdz');
  assert.is(many[26]?.target, 'vdaa');
  assert.is(many[52]?.target, 'vdba');
});

test('an NVMe disk becomes words for QEMU in which no path can hide an option', () => {
  const path = '/a,b"c\\d';
  const disks = [DISK, { ...DISK, path, bus: 'nvme', serial: 's,1', bootOrder: 2 }] as const;
  const [, blockdev = '', , device = ''] = nvmeArguments(disks);
  assert.is(JSON.parse(blockdev).file.filename, path);
  assert.equal(JSON.parse(device), {
    driver: 'nvme',
    drive: 'troupe-nvme0',
    serial: 's,1',
    bootindex: 2,
  });
  const root = build({ disks });
  assert.is(childrenOf(childOf(root, 'devices') ?? root, 'disk').length, 1);
  assert.is(childrenOf(childOf(root, 'qemu:commandline') ?? root, 'qemu:arg').length, 4);
});

test('what cannot be a domain is refused', () => {
  const bad: Partial<DomainSpec>[] = [
    { name: '' },
    { name: 'a/b' },
    { name: 'a\nb' },
    { name: 'bell\u0007' },
    { memoryMiB: 0 },
    { memoryMiB: 1.5 },
    { vcpus: Number.NaN },
    { metadata: { 'a b': 'x' } },
    { metadata: { 'xmlns:troupe': 'urn:other' } },
  ];
  for (const more of bad) {
    const refuse = () => build(more);
    assert.throws(refuse, (error: unknown) => isLibvirtError(error, 'invalid-value'));
  }
});

test("a mark in somebody else's namespace is not ours", () => {
  const xml = buildDomainXml({ ...SPEC, metadata: { instance: 'i' } });
  assert.equal(readDomainXml(xml).metadata, { instance: 'i' });
  const foreign = xml.replace('urn:troupe:domain:1', 'urn:other');
  assert.is(readDomainXml(foreign).metadata, undefined);
});

test.run();
