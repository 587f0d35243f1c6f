// What members of request bodies mean, for the description of the API. The rows say what is checked; many of the contract's
// members are checked by hand, because its error texts are (contract: instances 3), so that their schema alone says nothing.
import { Type, type TSchema } from '../../../actors/kernel/schema.ts';

export interface MemberNote {
  readonly description: string;
  /** What clients should send, where the row takes anything. */
  readonly schema?: TSchema;
}

const Text = Type.String();

const DiskSpec = Type.Object({
  size: Type.Optional(
    Type.Integer({ minimum: 1, description: 'GiB; the image says it if left out' }),
  ),
  base: Type.Optional(
    Type.String({
      description:
        'Image: URL, name such as debian:12, label:NAME, sf://upload|label/NAMESPACE/NAME, sf://snapshot|blob/UUID; none: a blank disk',
    }),
  ),
  bus: Type.Optional(
    Type.String({ enum: ['virtio', 'sata', 'scsi', 'usb', 'nvme'], default: 'virtio' }),
  ),
  type: Type.Optional(Type.String({ enum: ['disk', 'cdrom'], default: 'disk' })),
});

const NetworkSpec = Type.Object({
  network_uuid: Type.String({ description: "UUID or name, as seen from the caller's namespace" }),
  address: Type.Optional(
    Type.Union([Type.String(), Type.Null()], {
      description: 'Left out or empty: the network chooses; null: no address',
    }),
  ),
  macaddress: Type.Optional(Type.Union([Type.String(), Type.Null()])),
  model: Type.Optional(Type.String({ default: 'virtio' })),
  float: Type.Optional(Type.Boolean({ description: 'Also a floating address' })),
});

const VideoSpec = Type.Object({
  model: Type.String({ description: 'cirrus, vga, qxl' }),
  memory: Type.Integer({ minimum: 1, description: 'KiB' }),
  vdi: Type.Optional(Type.String({ enum: ['vnc', 'spice', 'spiceconcurrent'], default: 'spice' })),
});

const NOTES: Readonly<Record<string, MemberNote>> = {
  address: { description: 'IPv4 address', schema: Text },
  all: { description: 'Also those that are deleted, while they are kept' },
  blob_uuid: { description: 'UUID of a blob', schema: Text },
  command_line: { description: 'Command for the guest', schema: Text },
  configdrive: { description: '`openstack-disk` or `none`' },
  confirm: { description: 'Has to be true', schema: Type.Boolean() },
  cpus: { description: 'Number of vCPUs' },
  device: { description: 'Device of a disk, such as `vda`', schema: Text },
  disk: { description: 'At least one disk', schema: Type.Array(DiskSpec) },
  event_type: { description: 'audit, mutate, status, usage, resources, prune or historic' },
  external_namespace: { description: 'The namespace that may act on this one', schema: Text },
  hard: { description: 'Reset it instead of asking the guest' },
  key: { description: 'The secret', schema: Text },
  key_name: { description: 'What the key is called', schema: Text },
  length: { description: 'Bytes; negative: all', schema: Type.Integer({ default: 10_240 }) },
  limit: { description: 'How many at most; negative: all', schema: Type.Integer({ default: 100 }) },
  copies: {
    description: 'How many nodes are to keep it; null: as many as the cluster keeps',
    schema: Type.Union([Type.Integer({ minimum: 1, maximum: 16 }), Type.Null()]),
  },
  max_versions: { description: 'How many versions are kept', schema: Type.Integer() },
  memory: { description: 'MiB' },
  metadata: {
    description: 'Pairs of a key and any JSON value',
    schema: Type.Record(Type.String(), Type.Unknown()),
  },
  mode: { description: 'Mode of the file', schema: Type.Integer() },
  name: { description: 'What it is called' },
  namespace: { description: "Name of a namespace; the caller's if left out", schema: Text },
  netblock: { description: 'IPv4 block, such as 10.20.0.0/24', schema: Text },
  network: { description: 'Networks, an interface on each', schema: Type.Array(NetworkSpec) },
  node: { description: 'Name of a machine' },
  nvram_template: { description: 'UEFI variables to start with' },
  path: { description: 'Path in the guest', schema: Text },
  placed_on: { description: 'Name of the machine it has to run on' },
  provide_dhcp: { description: 'Answer DHCP' },
  provide_dns: { description: "Answer for the network's own names" },
  provide_nat: { description: 'Let guests reach out' },
  secure_boot: { description: 'Needs uefi' },
  shared: { description: 'Everybody may read it; for the system namespace' },
  side_channels: { description: 'Names of virtio-serial ports' },
  source_url: { description: 'Where it came from', schema: Text },
  ssh_key: { description: 'Public key, for the config drive' },
  thin: { description: 'A snapshot on top of its base, not a whole one; refused yet' },
  uefi: { description: 'UEFI instead of BIOS' },
  upload_uuid: { description: 'UUID of an upload', schema: Text },
  url: { description: 'Address of an image' },
  user_data: { description: 'Base64, for cloud-init' },
  value: { description: 'Any JSON value that is not empty' },
  video: { description: 'The graphics card', schema: VideoSpec },
};

/** Where a name means something else than usual. */
const OF_PATHS: readonly [path: RegExp, notes: Readonly<Record<string, MemberNote>>][] = [
  [/\/metadata$/, { key: { description: 'Key of the pair', schema: Text } }],
  [
    /\/interfaces$/,
    { network: { description: 'The network, and what address on it', schema: NetworkSpec } },
  ],
  [/\/snapshot$/, { all: { description: 'All disks at the same moment, not only the first' } }],
  [/^\/auth/, { namespace: { description: 'Name of the namespace', schema: Text } }],
];

export function memberNote(path: string, name: string): MemberNote | undefined {
  const special = OF_PATHS.find(([of, notes]) => of.test(path) && Object.hasOwn(notes, name));
  if (special !== undefined) return special[1][name];
  return Object.hasOwn(NOTES, name) ? NOTES[name] : undefined;
}
