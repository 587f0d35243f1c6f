// From the domain that an instance wants to the one that libvirt is given.
//
// D1  The same wish on the same machine gives the same definition, so that its digest tells whether the
//     one libvirt has is still the wanted one. Who asked, and when, is not part of it.
// D2  QEMU's own lock on disk images is left on: nothing here may pass `locking=off`, `file.locking` or
//     `<shareable/>` for a writable disk (H3).
// D3  Names that users choose reach neither a path nor a command line unchecked.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { DomainDisk, DomainNic, DomainSpec } from '../../../actors/instance/ports.ts';
import type { ChannelSpec, DiskSpec, FirmwareSpec, InterfaceSpec } from '../libvirt/domain-spec.ts';
import type { DomainSpec as LibvirtDomain, GraphicsSpec } from '../libvirt/domain-spec.ts';
import { domainName } from './domain-record.ts';
import { findFirmware, requireFitting } from './firmware.ts';
import { cpuSpec, type Machine } from './machine.ts';

export interface Consoles {
  /** Address that the serial console listens on. */
  readonly consoleListen: string;
  readonly consolePort: number;
  /** Address that the graphical console listens on. */
  readonly vdiListen: string;
  readonly vdiPort: number;
  /** 0: no TLS. */
  readonly vdiTlsPort: number;
}

export const AGENT_CHANNEL = 'org.qemu.guest_agent.0';
const SPICE_AGENT_CHANNEL = 'com.redhat.spice.0';
const SPICE_USB_REDIRECTIONS = 3;
const TITLE_MAX = 200;
/** Interfaces that a running guest can be given before its next start. */
const HOTPLUG_PORTS = 8;

/** Everything of the domain but the mark of whose it is. Error: `host/tool-missing` when UEFI is wanted and not installed. */
export function defineDomain(
  spec: DomainSpec,
  machine: Machine,
  folder: string,
  consoles: Consoles,
): LibvirtDomain {
  const { instanceId, cpus, memoryMiB, video } = spec;
  const { consoleListen, consolePort } = consoles;
  const order = bootOrder(spec.disks);
  const graphics = graphicsKind(video.vdi, machine);
  const machineType = spec.secureBoot ? 'q35' : machine.machineType;
  return {
    name: domainName(instanceId),
    uuid: instanceId,
    title: title(spec),
    type: machine.capabilities.accelerator === 'kvm' ? 'kvm' : 'qemu',
    machine: machineType,
    memoryMiB,
    vcpus: cpus,
    cpu: cpuSpec(machine.capabilities),
    firmware: firmware(spec, folder),
    disks: spec.disks.map((disk) => toDisk(disk, order)),
    // An i440fx has slots for everybody.
    ...(machineType === 'q35' ? { hotplugPorts: HOTPLUG_PORTS } : {}),
    interfaces: spec.nics.map(toInterface),
    serial: {
      source: { kind: 'tcp', host: consoleListen, port: consolePort, protocol: 'telnet' },
      log: consoleLog(folder),
    },
    graphics: [graphicsSpec(graphics, consoles)],
    video: { model: video.model, vramKiB: video.memoryKiB },
    channels: channels(spec, folder, graphics),
    ...(graphics === 'spice' ? { usbRedirections: SPICE_USB_REDIRECTIONS } : {}),
    sound: 'ich6',
    rng: true,
    balloon: true,
    onPoweroff: 'destroy',
    onReboot: 'restart',
    onCrash: 'destroy',
  };
}

export function toInterface({ tap, mac, model, mtu }: DomainNic): InterfaceSpec {
  return { source: { kind: 'tap', device: tap }, mac, model, mtu };
}

/** Changes exactly when the definition does. */
export function digestOf(domain: LibvirtDomain): string {
  return createHash('sha256').update(JSON.stringify(domain)).digest('hex').slice(0, 32);
}

/** VNC where SPICE was asked for and this machine's QEMU has none. `spiceconcurrent` is SPICE too. */
export function graphicsKind(vdi: string, machine: Machine): 'vnc' | 'spice' {
  return vdi === 'vnc' || !machine.hasSpice ? 'vnc' : 'spice';
}

export function consoleLog(folder: string): string {
  return join(folder, 'console.log');
}

export function nvramFile(folder: string): string {
  return join(folder, 'nvram.fd');
}

/** Where QEMU listens for a side channel of this name; any name, as users choose it (D3). */
export function channelSocket(folder: string, name: string): string {
  const isPlain = /^[A-Za-z0-9][\w.-]{0,15}$/.test(name);
  const hash = createHash('sha256').update(name).digest('hex').slice(0, 12);
  return join(socketFolder(folder), isPlain ? name : hash);
}

/** Short, because the path of a Unix socket has at most 107 bytes. */
export function socketFolder(folder: string): string {
  return join(folder, 'sock');
}

function title({ namespace, name }: DomainSpec): string {
  // libvirt refuses line breaks, XML refuses control characters.
  return `${namespace}/${name}`.replace(/[\p{Cc}\p{Cs}\uFFFE\uFFFF]/gu, ' ').slice(0, TITLE_MAX);
}

function firmware(spec: DomainSpec, folder: string): FirmwareSpec {
  if (!spec.uefi) return { kind: 'bios' };
  const { secureBoot } = spec;
  const stock = findFirmware(secureBoot);
  const { nvramTemplate = stock.nvramTemplate } = spec;
  requireFitting(nvramTemplate, stock);
  return { kind: 'uefi', ...stock, nvramTemplate, nvram: nvramFile(folder), secureBoot };
}

/** Disks first, then CD-ROMs. The config drive, which is read-only and no CD-ROM, is nothing to boot from. */
function bootOrder(disks: readonly DomainDisk[]): ReadonlyMap<DomainDisk, number> {
  const bootable = [
    ...disks.filter((disk) => disk.media === 'disk' && !disk.readonly),
    ...disks.filter((disk) => disk.media === 'cdrom'),
  ];
  return new Map(bootable.map((disk, index) => [disk, index + 1]));
}

function toDisk(disk: DomainDisk, order: ReadonlyMap<DomainDisk, number>): DiskSpec {
  const { path, format, media, bus, device, readonly } = disk;
  const position = order.get(disk);
  return {
    path,
    format,
    device: media,
    bus,
    target: device,
    readonly,
    ...(position === undefined ? {} : { bootOrder: position }),
    // A guest that deletes files gives the space back to the host.
    ...(readonly ? {} : { discard: 'unmap' as const }),
  };
}

function graphicsSpec(
  kind: 'vnc' | 'spice',
  { vdiListen, vdiPort, vdiTlsPort: tlsPort }: Consoles,
): GraphicsSpec {
  return { kind, listen: vdiListen, port: vdiPort, ...(tlsPort === 0 ? {} : { tlsPort }) };
}

function channels(spec: DomainSpec, folder: string, graphics: 'vnc' | 'spice'): ChannelSpec[] {
  const named = new Set(spec.sideChannels);
  // libvirt speaks to the agent itself, on a socket of its own choice.
  named.delete(AGENT_CHANNEL);
  named.delete(SPICE_AGENT_CHANNEL);
  return [
    { name: AGENT_CHANNEL },
    ...[...named].map((name) => ({ name, socket: channelSocket(folder, name) })),
    ...(graphics === 'spice' ? [{ name: SPICE_AGENT_CHANNEL, spiceAgent: true }] : []),
  ];
}
