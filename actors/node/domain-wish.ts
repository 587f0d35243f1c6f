// What an instance wants of its node: disks, config drive, NICs and the domain, whole.
import { closed, nullable, oneOf, Type, received, type Static } from '../kernel/schema.ts';

const BUSES = ['virtio', 'sata', 'scsi', 'usb', 'nvme'] as const;

/** What the guest is told about a network it is on. */
export const NetworkDescription = closed({
  networkId: Type.String(),
  netblock: Type.String(),
  gateway: Type.String(),
  /** The network itself answers DNS, at its gateway. */
  hasDNS: Type.Boolean(),
});
export type NetworkDescription = Static<typeof NetworkDescription>;

export const DomainWish = closed({
  name: Type.String(),
  namespace: Type.String(),
  cpus: Type.Integer(),
  memoryMiB: Type.Integer(),
  uefi: Type.Boolean(),
  secureBoot: Type.Boolean(),
  /** Blob that the UEFI variables start from; none: the firmware's own. */
  nvramTemplate: Type.Optional(Type.String()),
  video: closed({ model: Type.String(), memoryKiB: Type.Integer(), vdi: Type.String() }),
  sideChannels: Type.Array(Type.String()),
  disks: Type.Array(
    closed({
      device: Type.String(),
      position: Type.Integer(),
      bus: oneOf(BUSES),
      media: oneOf(['disk', 'cdrom']),
      baseBlobId: nullable(Type.String()),
      sizeGiB: nullable(Type.Integer()),
    }),
  ),
  configDrive: nullable(
    closed({
      device: Type.String(),
      bus: oneOf(BUSES),
      sshKey: nullable(Type.String()),
      userData: nullable(Type.String()),
      seed: Type.String(),
    }),
  ),
  nics: Type.Array(
    closed({
      interfaceId: Type.String(),
      order: Type.Integer(),
      model: Type.String(),
      mac: Type.String(),
      ipv4: nullable(Type.String()),
      network: NetworkDescription,
    }),
  ),
  power: oneOf(['on', 'off', 'paused']),
  powerOns: Type.Integer(),
  hardReboots: Type.Integer(),
  softReboots: Type.Integer(),
});
export type DomainWish = Static<typeof DomainWish>;

export const decodeDomainWish = received('domain wish', DomainWish);
