// What we need to know of a domain's XML as libvirt gives it back: whose it is, and where its parts are.
import { readMetadata } from './domain-metadata.ts';
import type { DomainMetadata } from './domain-spec.ts';
import { clientError } from './errors.ts';
import { childOf, childrenOf, descend, parseXml, textOf } from './xml-reader.ts';
import type { XmlElement } from './xml.ts';

/** A domain as libvirt describes it; parts that only a running domain has are absent otherwise. */
export interface DomainDescription {
  /** libvirt's id while it runs. */
  readonly id?: number;
  readonly type: string;
  readonly name: string;
  readonly uuid: string;
  readonly title?: string;
  /** Our mark, when the domain has one. */
  readonly metadata?: DomainMetadata;
  readonly memoryKiB: number;
  readonly vcpus: number;
  readonly machine?: string;
  readonly nvram?: string;
  readonly disks: readonly DiskDescription[];
  readonly interfaces: readonly InterfaceDescription[];
  /** The first serial port. */
  readonly serial?: { readonly type: string; readonly path?: string; readonly log?: string };
  readonly graphics: readonly GraphicsDescription[];
  readonly channels: readonly ChannelDescription[];
}

export interface DiskDescription {
  readonly target: string;
  readonly bus?: string;
  readonly device: string;
  readonly path?: string;
  readonly format?: string;
  readonly alias?: string;
}

export interface InterfaceDescription {
  readonly type: string;
  readonly mac?: string;
  /** The tap on the host. */
  readonly device?: string;
  readonly bridge?: string;
  readonly alias?: string;
}

export interface GraphicsDescription {
  readonly kind: string;
  /** Absent while not running with an automatic port. */
  readonly port?: number;
  readonly listen?: string;
  readonly socket?: string;
}

export interface ChannelDescription {
  readonly name?: string;
  readonly path?: string;
  /** Whether the guest has the port open. */
  readonly connected?: boolean;
}

/** Reads a domain's XML; throws `malformed` when it is none. */
export function readDomainXml(xml: string): DomainDescription {
  const root = parseXml(xml);
  const name = textOf(childOf(root, 'name'));
  const uuid = textOf(childOf(root, 'uuid'));
  if (root.name !== 'domain' || name === undefined || uuid === undefined) {
    throw clientError('malformed', `<${root.name}> is no domain with a name and a UUID`);
  }
  const devices = childOf(root, 'devices');
  const all = (kind: string) => (devices === undefined ? [] : childrenOf(devices, kind));
  return {
    ...defined({
      id: number(root.attributes['id']),
      title: textOf(childOf(root, 'title')),
      metadata: readMetadata(childOf(root, 'metadata')),
      machine: descend(root, 'os', 'type')?.attributes['machine'],
      nvram: textOf(descend(root, 'os', 'nvram')),
      serial: readSerial(childOf(devices, 'serial')),
    }),
    type: root.attributes['type'] ?? '',
    name,
    uuid,
    memoryKiB: number(textOf(childOf(root, 'memory'))) ?? 0,
    vcpus: number(textOf(childOf(root, 'vcpu'))) ?? 0,
    disks: all('disk').map(readDisk),
    interfaces: all('interface').map(readInterface),
    graphics: all('graphics').map(readGraphics),
    channels: all('channel').map(readChannel),
  };
}

function readDisk(disk: XmlElement): DiskDescription {
  const target = childOf(disk, 'target')?.attributes;
  return {
    target: target?.['dev'] ?? '',
    device: disk.attributes['device'] ?? 'disk',
    ...defined({
      bus: target?.['bus'],
      path: childOf(disk, 'source')?.attributes['file'],
      format: childOf(disk, 'driver')?.attributes['type'],
      alias: childOf(disk, 'alias')?.attributes['name'],
    }),
  };
}

function readInterface(card: XmlElement): InterfaceDescription {
  return {
    type: card.attributes['type'] ?? '',
    ...defined({
      mac: childOf(card, 'mac')?.attributes['address'],
      device: childOf(card, 'target')?.attributes['dev'],
      bridge: childOf(card, 'source')?.attributes['bridge'],
      alias: childOf(card, 'alias')?.attributes['name'],
    }),
  };
}

function readSerial(serial: XmlElement | undefined): DomainDescription['serial'] {
  if (serial === undefined) return undefined;
  return {
    type: serial.attributes['type'] ?? '',
    ...defined({
      path: childOf(serial, 'source')?.attributes['path'],
      log: childOf(serial, 'log')?.attributes['file'],
    }),
  };
}

function readGraphics(graphics: XmlElement): GraphicsDescription {
  const listen = childOf(graphics, 'listen')?.attributes;
  const port = number(graphics.attributes['port']);
  return {
    kind: graphics.attributes['type'] ?? '',
    ...defined({
      port: port === -1 ? undefined : port,
      listen: listen?.['address'],
      socket: listen?.['socket'] ?? graphics.attributes['socket'],
    }),
  };
}

function readChannel(channel: XmlElement): ChannelDescription {
  const target = childOf(channel, 'target')?.attributes;
  const state = target?.['state'];
  return defined({
    name: target?.['name'],
    path: childOf(channel, 'source')?.attributes['path'],
    connected: state === undefined ? undefined : state === 'connected',
  });
}

function number(text: string | undefined): number | undefined {
  if (text === undefined || !/^-?\d+$/.test(text)) return undefined;
  return Number(text);
}

type Defined<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** Without the fields that are undefined. */
function defined<T extends object>(fields: T): Defined<T> {
  const kept: Defined<T> = {};
  for (const key in fields) {
    const value = fields[key];
    if (value !== undefined) kept[key] = value as Exclude<T[typeof key], undefined>;
  }
  return kept;
}
