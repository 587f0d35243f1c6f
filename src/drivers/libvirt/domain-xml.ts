// A DomainSpec as libvirt's domain XML; the way back is in domain-xml-reader.ts.
//
// B1  Nothing is taken from the spec but into attributes and text, which xml.ts escapes.
// B2  What libvirt would add on its own and an instance shall not have is said explicitly: no balloon,
//     no security label of its own, no suspend.
// B3  A combination that cannot be is refused here (`invalid-value`) when libvirt would not say why.
import { cpuXml, firmwareXml, isUefi } from './domain-boot-xml.ts';
import {
  channelXml,
  diskXml,
  graphicsXml,
  interfaceXml,
  nvmeArguments,
  serialXml,
  videoXml,
  withTargets,
} from './domain-device-xml.ts';
import { metadataXml } from './domain-metadata.ts';
import type { DomainSpec } from './domain-spec.ts';
import { clientError } from './errors.ts';
import { element, renderXml, type XmlElement } from './xml.ts';

export { readDomainXml } from './domain-xml-reader.ts';
export { buildMetadataXml, METADATA_PREFIX, METADATA_URI } from './domain-metadata.ts';

const QEMU_URI = 'http://libvirt.org/schemas/domain/qemu/1.0';

/** The XML to define this domain with. Refuses what cannot be (`invalid-value`). */
export function buildDomainXml(spec: DomainSpec): string {
  check(spec);
  const words = [...nvmeArguments(spec.disks ?? []), ...(spec.qemuArguments ?? [])];
  return renderXml(
    element(
      'domain',
      { type: spec.type, ...(words.length > 0 && { 'xmlns:qemu': QEMU_URI }) },
      element('name', {}, spec.name),
      element('uuid', {}, spec.uuid),
      spec.title !== undefined && element('title', {}, spec.title),
      spec.metadata && element('metadata', {}, metadataXml(spec.metadata)),
      element('memory', { unit: 'MiB' }, String(spec.memoryMiB)),
      element('vcpu', {}, String(spec.vcpus)),
      firmwareXml(spec),
      featuresXml(spec),
      spec.cpu && cpuXml(spec.cpu),
      clockXml(spec),
      element('on_poweroff', {}, spec.onPoweroff ?? 'destroy'),
      element('on_reboot', {}, spec.onReboot ?? 'restart'),
      element('on_crash', {}, spec.onCrash ?? 'destroy'),
      element(
        'pm',
        {},
        element('suspend-to-mem', { enabled: 'no' }),
        element('suspend-to-disk', { enabled: 'no' }),
      ),
      devicesXml(spec),
      element('seclabel', { type: 'none' }),
      words.length > 0 && commandLineXml(words),
    ),
  );
}

function featuresXml(spec: DomainSpec): XmlElement {
  const { firmware } = spec;
  const x86 = (spec.arch ?? 'x86_64') === 'x86_64';
  const secure = firmware?.kind === 'uefi' && firmware.secureBoot === true;
  return element(
    'features',
    {},
    (x86 || isUefi(spec)) && element('acpi'),
    x86 && element('apic'),
    secure && element('smm', { state: 'on' }),
  );
}

/** Lost timer ticks are made up for, as a server guest needs; emulation keeps QEMU's own timers. */
function clockXml({ type }: DomainSpec): XmlElement {
  if (type === 'qemu') return element('clock', { offset: 'utc' });
  return element(
    'clock',
    { offset: 'utc' },
    element('timer', { name: 'rtc', tickpolicy: 'catchup' }),
    element('timer', { name: 'pit', tickpolicy: 'delay' }),
    element('timer', { name: 'hpet', present: 'no' }),
  );
}

function devicesXml(spec: DomainSpec): XmlElement {
  const disks = withTargets(spec.disks ?? []).filter(({ bus }) => bus !== 'nvme');
  return element(
    'devices',
    {},
    spec.emulator !== undefined && element('emulator', {}, spec.emulator),
    ...hotplugPortsXml(spec),
    ...disks.map(diskXml),
    ...(spec.interfaces ?? []).map(interfaceXml),
    spec.serial && serialXml(spec.serial),
    ...(spec.channels ?? []).map(channelXml),
    ...(spec.graphics ?? []).map(graphicsXml),
    spec.tablet === true && element('input', { type: 'tablet', bus: 'usb' }),
    spec.video && videoXml(spec.video),
    spec.sound !== undefined && element('sound', { model: spec.sound }),
    ...Array.from({ length: spec.usbRedirections ?? 0 }, () =>
      element('redirdev', { bus: 'usb', type: 'spicevmc' }),
    ),
    spec.rng === true && rngXml(),
    element('memballoon', { model: spec.balloon === true ? 'virtio' : 'none' }),
    spec.panicNotifier === true && element('panic', { model: 'isa' }),
  );
}

/**
 * Root ports for the devices of the definition, which take them first, and as many as shall stay free.
 * Ports can be named only below a root, which libvirt would have made by itself.
 */
function hotplugPortsXml(spec: DomainSpec): XmlElement[] {
  if (spec.hotplugPorts === undefined) return [];
  const controller = (model: string, index?: number) =>
    element('controller', { type: 'pci', index, model });
  const ports = Array.from({ length: pciDevices(spec) + spec.hotplugPorts }, () =>
    controller('pcie-root-port'),
  );
  return [controller('pcie-root', 0), ...ports];
}

/** How many ports the definition's own devices may take; rather one too many. */
function pciDevices({
  disks = [],
  interfaces = [],
  channels = [],
  rng,
  balloon,
}: DomainSpec): number {
  const always = 3; // USB, SCSI and a virtio video card
  const single = [channels.length > 0, rng === true, balloon === true].filter(Boolean).length;
  return always + single + disks.length + interfaces.length;
}

function rngXml(): XmlElement {
  const backend = element('backend', { model: 'random' }, '/dev/urandom');
  return element('rng', { model: 'virtio' }, backend);
}

function commandLineXml(words: readonly string[]): XmlElement {
  const args = words.map((value) => element('qemu:arg', { value }));
  return element('qemu:commandline', {}, ...args);
}

function check(spec: DomainSpec): void {
  if (spec.name === '') throw clientError('invalid-value', 'a domain needs a name');
  if (spec.name.includes('/') || spec.name.includes('\n')) {
    throw clientError(
      'invalid-value',
      `a domain's name has no '/' and no line end: '${spec.name}'`,
    );
  }
  for (const field of ['memoryMiB', 'vcpus'] as const) {
    const value = spec[field];
    if (!Number.isSafeInteger(value) || value < 1) {
      throw clientError('invalid-value', `${spec.name}: ${field} is ${value}, not 1 or more`);
    }
  }
}
