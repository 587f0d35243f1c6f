// The executor of domains: an instance's disks, config drive, taps and the domain itself on this machine.
import type { DiskReport, DiskStore } from '../blob/ports.ts';
import { configDrive } from './config-drive.ts';
import { deviceName } from './device-name.ts';
import type { DomainDisk, DomainNic, DomainReport, Hypervisor } from '../instance/ports.ts';
import type { BuiltDisk } from '../instance/state.ts';
import { TroupeError } from '../kernel/errors.ts';
import type { Json } from '../kernel/json.ts';
import type { Static } from '../kernel/schema.ts';
import type { Dataplane, TapReport, WantedBy } from '../network/ports.ts';
import { decodeDomainWish, type DomainWish } from './domain-wish.ts';
import type { Converger } from './executors.ts';

export interface DomainPorts {
  readonly disks: DiskStore;
  readonly dataplane: Dataplane;
  readonly hypervisor: Hypervisor;
  /** DNS zone: a guest's domain is `<namespace>.<zone>`. */
  readonly zone: string;
  /** Resolver of guests whose networks have none. */
  readonly upstreamDns: string;
}

interface Attached {
  readonly disk: DomainDisk;
  readonly built: Static<typeof BuiltDisk>;
}

export function domainConverger(ports: DomainPorts): Converger {
  return {
    ownerKind: 'instance',
    ensure: async (instanceId, spec, by) => {
      const wish = decodeDomainWish(spec);
      const { attached, taps } = await prepare(ports, instanceId, wish, by);
      const nvramTemplate =
        wish.nvramTemplate === undefined
          ? {}
          : {
              nvramTemplate: await ports.disks.ensureNvramTemplate(
                instanceId,
                wish.nvramTemplate,
                by,
              ),
            };
      const observed = await ports.hypervisor.ensureDomain(
        {
          ...domainSpec(instanceId, wish),
          ...nvramTemplate,
          disks: attached.map(({ disk }) => disk),
          nics: nicsOf(wish, taps),
        },
        by,
      );
      return report(
        observed,
        attached.map(({ built }) => built),
      );
    },
    remove: async (instanceId, by) => {
      await ports.hypervisor.removeDomain(instanceId, by);
      await ports.dataplane.removeTaps([], by);
      await ports.disks.removeDisks(instanceId, by);
    },
  };
}

/** The reply to a want. */
function report(observed: DomainReport, builtDisks: Static<typeof BuiltDisk>[]): Json {
  return { observed: { ...observed }, builtDisks: builtDisks.map((disk) => ({ ...disk })) };
}

/** Taps first: they fail soonest, while the segment is not there yet. */
async function prepare(
  ports: DomainPorts,
  instanceId: string,
  wish: DomainWish,
  by: WantedBy,
): Promise<{ attached: Attached[]; taps: TapReport[] }> {
  const taps: TapReport[] = [];
  for (const { interfaceId, mac, network } of wish.nics) {
    taps.push(
      await ports.dataplane.ensureTap({ interfaceId, networkId: network.networkId, mac }, by),
    );
  }
  await ports.dataplane.removeTaps(
    wish.nics.map((nic) => nic.interfaceId),
    by,
  );
  const attached: Attached[] = [];
  for (const disk of wish.disks) {
    const { device, baseBlobId, sizeGiB } = disk;
    const made = await ports.disks.ensureDisk({ instanceId, device, baseBlobId, sizeGiB }, by);
    attached.push(attach(disk, made));
  }
  if (wish.configDrive !== null) {
    const context = { drive: wish.configDrive, taps, by };
    attached.splice(1, 0, await attachConfigDrive(ports, instanceId, wish, context));
  }
  return { attached, taps };
}

/** An ISO is always a CD-ROM, on usb instead of virtio, which has none (contract: instances 3.1). */
function attach(wished: DomainWish['disks'][number], made: DiskReport): Attached {
  const isCdrom = made.media === 'cdrom' || wished.media === 'cdrom';
  const bus = isCdrom && wished.bus === 'virtio' ? 'usb' : wished.bus;
  const device = bus === wished.bus ? wished.device : deviceName(bus, wished.position);
  const { path, format } = made;
  const media = isCdrom ? 'cdrom' : 'disk';
  return {
    disk: { device, path, format, media, bus, readonly: isCdrom },
    built: {
      device,
      bus,
      sizeGiB: wished.sizeGiB,
      blobId: wished.baseBlobId,
      snapshotIgnores: isCdrom,
    },
  };
}

interface DriveContext {
  readonly drive: NonNullable<DomainWish['configDrive']>;
  readonly taps: readonly TapReport[];
  readonly by: WantedBy;
}

async function attachConfigDrive(
  ports: DomainPorts,
  instanceId: string,
  wish: DomainWish,
  { drive, taps, by }: DriveContext,
): Promise<Attached> {
  const { device, bus, sshKey, userData, seed } = drive;
  const content = configDrive({
    instanceId,
    name: wish.name,
    namespace: wish.namespace,
    zone: ports.zone,
    upstreamDns: ports.upstreamDns,
    sshKey,
    userData,
    randomSeed: seed,
    interfaces: wish.nics.map(({ interfaceId, mac, ipv4, network }, index) => {
      return { interfaceId, mac, ipv4, mtu: taps[index]?.mtu ?? 0, ...network };
    }),
  });
  if (!content.ok) throw new TroupeError('hypervisor/refused', content.reason);
  const { path, format } = await ports.disks.ensureConfigDrive(instanceId, content.files, by);
  return {
    disk: { device, path, format, media: 'disk', bus, readonly: true },
    built: { device, bus, sizeGiB: null, blobId: null, snapshotIgnores: true },
  };
}

function nicsOf(wish: DomainWish, taps: readonly TapReport[]): DomainNic[] {
  return wish.nics.flatMap(({ mac, model }, index) => {
    const tap = taps[index];
    return tap === undefined ? [] : [{ tap: tap.tap, mtu: tap.mtu, mac, model }];
  });
}

function domainSpec(instanceId: string, wish: DomainWish) {
  const { name, namespace, cpus, memoryMiB, uefi, secureBoot, sideChannels, video } = wish;
  const { power, powerOns, hardReboots, softReboots } = wish;
  const shape = {
    instanceId,
    name,
    namespace,
    cpus,
    memoryMiB,
    uefi,
    secureBoot,
    sideChannels,
    video,
  };
  return { ...shape, power, powerOns, hardReboots, softReboots };
}
