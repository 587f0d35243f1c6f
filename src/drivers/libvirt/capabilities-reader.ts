// What a host and its hypervisor can do, out of libvirt's capabilities and domain capabilities XML.
import { childOf, childrenOf, descend, parseXml, textOf } from './xml-reader.ts';
import type { XmlElement } from './xml.ts';

export interface Capabilities {
  readonly hostUuid: string;
  readonly arch: string;
  /** libvirt's name for the host's CPU, absent when it could not tell. */
  readonly cpuModel?: string;
  /** What guests may be: per architecture the emulator and the domain types, such as qemu and kvm. */
  readonly guests: readonly {
    readonly arch: string;
    readonly emulator: string;
    readonly types: readonly string[];
  }[];
}

export interface DomainCapabilities {
  readonly emulator: string;
  /** `kvm` or `qemu`. */
  readonly type: string;
  /** The versioned name behind an alias such as q35. */
  readonly machine: string;
  readonly arch: string;
  readonly maxVcpus: number;
  /** UEFI images that libvirt knows of. */
  readonly loaders: readonly string[];
  readonly supportsSecureBoot: boolean;
  /** Supported CPU modes: host-passthrough, host-model, maximum, custom. */
  readonly cpuModes: readonly string[];
  /** Models of mode custom that run here without disabling features. */
  readonly usableCpuModels: readonly string[];
  readonly diskBuses: readonly string[];
}

/** Reads HostCalls.capabilities(). */
export function readCapabilities(xml: string): Capabilities {
  const root = parseXml(xml);
  const host = childOf(root, 'host');
  const cpu = childOf(host, 'cpu');
  const cpuModel = textOf(childOf(cpu, 'model'));
  return {
    hostUuid: textOf(childOf(host, 'uuid')) ?? '',
    arch: textOf(childOf(cpu, 'arch')) ?? '',
    ...(cpuModel !== undefined && { cpuModel }),
    guests: childrenOf(root, 'guest').flatMap((guest) => readGuest(childOf(guest, 'arch'))),
  };
}

function readGuest(arch: XmlElement | undefined): Capabilities['guests'] {
  if (arch === undefined) return [];
  return [
    {
      arch: arch.attributes['name'] ?? '',
      emulator: textOf(childOf(arch, 'emulator')) ?? '',
      types: childrenOf(arch, 'domain').flatMap(({ attributes }) => attributes['type'] ?? []),
    },
  ];
}

/** Reads HostCalls.domainCapabilities(). */
export function readDomainCapabilities(xml: string): DomainCapabilities {
  const root = parseXml(xml);
  const loader = descend(root, 'os', 'loader');
  const modes = supported(childOf(root, 'cpu'), 'mode');
  const custom = modes.find(({ attributes }) => attributes['name'] === 'custom');
  const models = custom === undefined ? [] : childrenOf(custom, 'model');
  const usable = models.filter(({ attributes }) => attributes['usable'] === 'yes');
  return {
    emulator: textOf(childOf(root, 'path')) ?? '',
    type: textOf(childOf(root, 'domain')) ?? '',
    machine: textOf(childOf(root, 'machine')) ?? '',
    arch: textOf(childOf(root, 'arch')) ?? '',
    maxVcpus: Number(childOf(root, 'vcpu')?.attributes['max'] ?? 0),
    loaders: values(loader),
    supportsSecureBoot: enumValues(loader, 'secure').includes('yes'),
    cpuModes: modes.flatMap(({ attributes }) => attributes['name'] ?? []),
    usableCpuModels: usable.flatMap((model) => textOf(model) ?? []),
    diskBuses: enumValues(descend(root, 'devices', 'disk'), 'bus'),
  };
}

function supported(parent: XmlElement | undefined, name: string): readonly XmlElement[] {
  if (parent === undefined) return [];
  return childrenOf(parent, name).filter(({ attributes }) => attributes['supported'] === 'yes');
}

function enumValues(parent: XmlElement | undefined, name: string): readonly string[] {
  if (parent === undefined) return [];
  return values(childrenOf(parent, 'enum').find(({ attributes }) => attributes['name'] === name));
}

function values(parent: XmlElement | undefined): readonly string[] {
  if (parent === undefined) return [];
  return childrenOf(parent, 'value').flatMap((value) => textOf(value) ?? []);
}
