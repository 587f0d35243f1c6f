// A domain's devices as XML; also one by one, for attaching, detaching and updating them.
import type { ChannelSpec, DiskSpec, GraphicsSpec } from './domain-spec.ts';
import type { InterfaceSpec, SerialSpec, VideoSpec } from './domain-spec.ts';
import { clientError } from './errors.ts';
import { element, renderXml, type XmlElement } from './xml.ts';

const LOOPBACK = '127.0.0.1';
/** libvirt's prefix of target names per bus; NVMe is not libvirt's, see nvmeArguments(). */
const PREFIXES = { virtio: 'vd', sata: 'sd', scsi: 'sd', usb: 'sd', nvme: 'nvme' } as const;

export type TargetedDisk = DiskSpec & { readonly target: string };

/** A disk's XML, for attachDevice() and the like. Its target must be given. */
export function buildDiskXml(disk: TargetedDisk): string {
  if (disk.bus === 'nvme')
    throw clientError('invalid-value', 'libvirt has no NVMe disks to attach');
  return renderXml(diskXml(disk));
}

/** A network card's XML, for attachDevice() and the like. */
export function buildInterfaceXml(card: InterfaceSpec): string {
  return renderXml(interfaceXml(card));
}

/** The destination of BlockCalls.copy(): a file. */
export function buildCopyDestinationXml(path: string, format: 'qcow2' | 'raw'): string {
  return renderXml(
    element(
      'disk',
      { type: 'file' },
      element('source', { file: path }),
      element('driver', { type: format }),
    ),
  );
}

/** Gives each disk without a target the next free name of its bus: vda, vdb, …, vdz, vdaa. */
export function withTargets(disks: readonly DiskSpec[]): readonly TargetedDisk[] {
  const taken = new Set(disks.flatMap(({ target }) => target ?? []));
  return disks.map((disk) => {
    if (disk.target !== undefined) return { ...disk, target: disk.target };
    let index = 0;
    while (taken.has(targetName(disk.bus, index))) index++;
    const target = targetName(disk.bus, index);
    taken.add(target);
    return { ...disk, target };
  });
}

function targetName(bus: DiskSpec['bus'], index: number): string {
  if (bus === 'nvme') return `nvme${index}`;
  const letter = String.fromCharCode(97 + (index % 26));
  const head = index < 26 ? '' : String.fromCharCode(96 + Math.floor(index / 26));
  return `${PREFIXES[bus]}${head}${letter}`;
}

export function diskXml(disk: TargetedDisk): XmlElement {
  const { format, cache, io, discard } = disk;
  // libvirt refuses read-only SATA disks: what is read-only there is a CD-ROM.
  const isReadOnlySata = disk.bus === 'sata' && disk.readonly === true;
  const device = isReadOnlySata ? 'cdrom' : (disk.device ?? 'disk');
  return element(
    'disk',
    { type: 'file', device },
    element('driver', { name: 'qemu', type: format, cache, io, discard }),
    element('source', { file: disk.path }),
    disk.backing && backingXml(disk.backing),
    element('target', { dev: disk.target, bus: disk.bus }),
    disk.serial !== undefined && element('serial', {}, disk.serial),
    (disk.readonly === true || device === 'cdrom') && element('readonly'),
    disk.bootOrder !== undefined && element('boot', { order: disk.bootOrder }),
  );
}

/** libvirt nests the layers; an empty one says that the chain ends there. */
function backingXml([layer, ...below]: NonNullable<DiskSpec['backing']>): XmlElement {
  if (layer === undefined) return element('backingStore');
  return element(
    'backingStore',
    { type: 'file' },
    element('format', { type: layer.format }),
    element('source', { file: layer.path }),
    backingXml(below),
  );
}

/**
 * QEMU words for NVMe disks, which libvirt 9 has no XML for. JSON throughout, so that no character of a
 * path or serial means anything to QEMU's option parser.
 */
export function nvmeArguments(disks: readonly DiskSpec[]): string[] {
  return withTargets(disks)
    .filter(({ bus }) => bus === 'nvme')
    .flatMap((disk, index) => {
      const node = `troupe-nvme${index}`;
      const file = { driver: 'file', filename: disk.path };
      const readOnly = disk.readonly === true;
      const discard = disk.discard ?? 'ignore';
      const blockdev = {
        driver: disk.format,
        'node-name': node,
        'read-only': readOnly,
        discard,
        file,
      };
      const device = {
        driver: 'nvme',
        drive: node,
        serial: disk.serial ?? node,
        ...(disk.bootOrder !== undefined && { bootindex: disk.bootOrder }),
      };
      return ['-blockdev', JSON.stringify(blockdev), '-device', JSON.stringify(device)];
    });
}

/**
 * A tap is taken as `managed='no'`: libvirt opens it and leaves its creation, addresses, bridge and
 * removal to whoever owns it.
 */
export function interfaceXml(card: InterfaceSpec): XmlElement {
  const { source, mac, model = 'virtio', mtu, bootOrder } = card;
  const type = source.kind === 'tap' ? 'ethernet' : 'bridge';
  return element(
    'interface',
    { type },
    element('mac', { address: mac }),
    source.kind === 'bridge' && element('source', { bridge: source.bridge }),
    source.kind === 'tap'
      ? element('target', { dev: source.device, managed: 'no' })
      : source.device !== undefined && element('target', { dev: source.device }),
    element('model', { type: model }),
    mtu !== undefined && element('mtu', { size: mtu }),
    bootOrder !== undefined && element('boot', { order: bootOrder }),
  );
}

export function serialXml({ source, log }: SerialSpec): XmlElement {
  return element(
    'serial',
    { type: source.kind },
    serialSourceXml(source),
    source.kind === 'tcp' && element('protocol', { type: source.protocol ?? 'raw' }),
    log !== undefined && element('log', { file: log, append: 'on' }),
    element('target', { port: 0 }),
  );
}

function serialSourceXml(source: SerialSpec['source']): XmlElement | undefined {
  switch (source.kind) {
    case 'pty':
      return undefined;
    case 'unix':
      return element('source', { mode: 'bind', path: source.path });
    case 'tcp':
      return element('source', { mode: 'bind', host: source.host, service: source.port });
    case 'file':
      return element('source', { path: source.path, append: 'on' });
  }
}

export function channelXml({ name, socket, spiceAgent }: ChannelSpec): XmlElement {
  return element(
    'channel',
    { type: spiceAgent === true ? 'spicevmc' : 'unix' },
    socket !== undefined && element('source', { mode: 'bind', path: socket }),
    element('target', { type: 'virtio', name }),
  );
}

export function videoXml({ model, vramKiB }: VideoSpec): XmlElement {
  return element('video', {}, element('model', { type: model, vram: vramKiB }));
}

export function graphicsXml(graphics: GraphicsSpec): XmlElement {
  const { kind } = graphics;
  if ('socket' in graphics) {
    const listen = element('listen', { type: 'socket', socket: graphics.socket });
    return element('graphics', { type: kind }, listen);
  }
  const { listen = LOOPBACK, port, tlsPort, password } = graphics;
  const autoport = port === undefined ? 'yes' : 'no';
  const tls = tlsPort === undefined ? {} : { tlsPort, defaultMode: 'secure' };
  return element(
    'graphics',
    { type: kind, port: port ?? -1, autoport, ...tls, passwd: password },
    element('listen', { type: 'address', address: listen }),
  );
}
