// From the flags of `instance create` to the body of POST /instances (contract: instances 3.7).
//
// Order on the wire, whatever the order typed: disks are all -d, then all -D; networks all -f, -n, -N.
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Call, FlagTable } from './command.ts';
import { CliError, usageError } from './failure.ts';
import { wholeNumber, type Flags } from './flags.ts';

const MIN_MEMORY_MIB = 128;
const PAGE = 'troupe help instance create';

export const INSTANCE_FLAGS: FlagTable = {
  disk: {
    type: 'string',
    short: 'd',
    multiple: true,
    value: 'SIZE[@BASE]',
    help: 'a disk of SIZE GiB, from an image (URL or name); @BASE alone: as large as the image',
  },
  diskspec: {
    type: 'string',
    short: 'D',
    multiple: true,
    value: 'KEY=VALUE,...',
    help: 'a disk by size, base, bus (virtio, sata, scsi, usb, nvme), type (disk, cdrom)',
  },
  network: {
    type: 'string',
    short: 'n',
    multiple: true,
    value: 'NET[@ADDRESS]',
    help: 'an interface on a network, with an address of your choice',
  },
  floated: {
    type: 'string',
    short: 'f',
    multiple: true,
    value: 'NET[@ADDRESS]',
    help: 'the same with a floating address',
  },
  networkspec: {
    type: 'string',
    short: 'N',
    multiple: true,
    value: 'KEY=VALUE,...',
    help: 'an interface by network_uuid, address (or none), macaddress, model, float',
  },
  sshkey: { type: 'string', short: 'i', value: 'FILE', help: 'public ssh key for the guest' },
  sshkeydata: { type: 'string', short: 'I', value: 'TEXT', help: 'the key itself' },
  userdata: { type: 'string', short: 'u', value: 'FILE', help: 'user data for cloud-init' },
  encodeduserdata: { type: 'string', short: 'U', value: 'BASE64', help: 'user data, encoded' },
  placement: { type: 'string', short: 'p', value: 'NODE', help: 'the node it has to run on' },
  videospec: {
    type: 'string',
    short: 'V',
    value: 'KEY=VALUE,...',
    help: 'graphics by model (cirrus, vga, qxl), memory (KiB), vdi (vnc, spice)',
  },
  metadata: {
    type: 'string',
    short: 'm',
    multiple: true,
    value: 'KEY=VALUE',
    help: 'metadata; tags and affinity are JSON',
  },
  'side-channel': {
    type: 'string',
    short: 's',
    multiple: true,
    value: 'NAME',
    help: 'a virtio-serial port, such as sf-agent',
  },
  uefi: { type: 'boolean', help: 'boot by UEFI in place of BIOS' },
  'secure-boot': { type: 'boolean', help: 'UEFI that boots signed systems only' },
  'nvram-template': { type: 'string', value: 'BLOB', help: 'UEFI variables to start with' },
  configdrive: { type: 'string', value: 'TYPE', help: 'openstack-disk (default) or none' },
  namespace: { type: 'string', value: 'NAME', help: 'whose it will be (default: the login)' },
  force: { type: 'boolean', help: `allow less than ${MIN_MEMORY_MIB} MiB of memory` },
};

/** Throws a usage error for what cannot be meant, CliError for a file that cannot be read. */
export function instanceBody({ args, flags, world }: Call): object {
  const [name = '', cpus = '', memory = ''] = args;
  const disk = [
    ...flags.texts('disk').map(shortDisk),
    ...flags.texts('diskspec').map((spec) => longDisk(spec)),
  ];
  if (disk.length === 0) throw usageError('give at least one disk, as in -d 20@URL', PAGE);
  const secureBoot = flags.is('secure-boot');
  return {
    name,
    cpus: wholeNumber(cpus, 'CPUS', 1),
    memory: memoryMiB(memory, flags),
    disk,
    network: networks(flags),
    ssh_key: fromFileOr(flags, 'sshkey', 'sshkeydata', 'utf8', world.directory),
    user_data: fromFileOr(flags, 'userdata', 'encodeduserdata', 'base64', world.directory),
    ...optional('placed_on', flags.text('placement')),
    ...optional('namespace', flags.text('namespace')),
    ...optional('video', videoSpec(flags.text('videospec'))),
    ...optional('nvram_template', flags.text('nvram-template')),
    uefi: flags.is('uefi') || secureBoot,
    secure_boot: secureBoot,
    configdrive: flags.text('configdrive') ?? 'openstack-disk',
    metadata: metadata(flags.texts('metadata')),
    side_channels: flags.texts('side-channel'),
  };
}

function optional(member: string, value: unknown): object {
  return value === undefined ? {} : { [member]: value };
}

function memoryMiB(text: string, flags: Flags): number {
  const memory = wholeNumber(text, 'MEMORY (MiB)', 1);
  if (memory >= MIN_MEMORY_MIB || flags.is('force')) return memory;
  throw usageError(
    `${memory} MiB of memory is less than most guests can boot with; --force allows it`,
    PAGE,
  );
}

/** `20`, `20@debian:12`, `@URL`. A URL may itself hold an @. */
function shortDisk(spec: string): object {
  const [, size = '', base = ''] = /^(\d*)(?:@(.+))?$/s.exec(spec) ?? [];
  if (size === '' && base === '') {
    throw usageError(`-d should look like 20 or 20@URL; found ${JSON.stringify(spec)}`, PAGE);
  }
  const sizeGiB = size === '' ? null : wholeNumber(size, 'the size of a disk (GiB)', 1);
  return { size: sizeGiB, base: base === '' ? null : base, bus: null, type: 'disk' };
}

function longDisk(spec: string): object {
  const { size, ...others } = pairs(spec, '-D', ['size', 'base', 'bus', 'type']);
  return {
    ...(size === undefined ? {} : { size: wholeNumber(size, 'the size of a disk (GiB)', 1) }),
    ...others,
  };
}

/** Of -f, -n and -N. */
export function networks(flags: Flags): object[] {
  return [
    ...flags.texts('floated').map((spec) => ({ ...shortNetwork(spec), float: true })),
    ...flags.texts('network').map(shortNetwork),
    ...flags.texts('networkspec').map(longNetwork),
  ];
}

/** `front`, `front@10.20.0.9`. */
function shortNetwork(spec: string): object {
  const [, network = '', address] = /^(.*?)(?:@([^@]*))?$/s.exec(spec) ?? [];
  if (network === '' || address === '') {
    throw usageError(
      `-n should look like front or front@10.20.0.9; found ${JSON.stringify(spec)}`,
      PAGE,
    );
  }
  return {
    network_uuid: network,
    macaddress: null,
    model: 'virtio',
    ...optional('address', address),
  };
}

function longNetwork(spec: string): object {
  const keys = ['network_uuid', 'address', 'macaddress', 'model', 'float'];
  const { float, ...others } = pairs(spec, '-N', keys);
  if (others['network_uuid'] === undefined) throw usageError('-N needs network_uuid=NET', PAGE);
  return { ...others, ...(float === undefined ? {} : { float: /^true$/i.test(float) }) };
}

function videoSpec(spec: string | undefined): object | undefined {
  if (spec === undefined) return undefined;
  const { memory, ...others } = pairs(spec, '-V', ['model', 'memory', 'vdi']);
  const memoryKiB = wholeNumber(memory ?? '16384', 'the memory of -V (KiB)', 1);
  return { model: 'cirrus', ...others, memory: memoryKiB };
}

function metadata(specs: readonly string[]): object {
  return Object.fromEntries(
    specs.map((spec) => {
      const [, key = '', value = ''] = /^([^=]+)=(.*)$/s.exec(spec) ?? [];
      if (key === '') {
        throw usageError(`-m should look like key=value; found ${JSON.stringify(spec)}`, PAGE);
      }
      return [key, key === 'tags' || key === 'affinity' ? jsonValue(key, value) : value];
    }),
  );
}

function jsonValue(key: string, text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    const example = key === 'tags' ? `tags='["db"]'` : `affinity='{"db": -5}'`;
    throw usageError(`the value of -m ${key} should be JSON, as in -m ${example}`, PAGE);
  }
}

/** `key=value,key=value`, of known keys only: the API would ignore a misspelt one. */
function pairs(spec: string, flag: string, keys: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    spec.split(',').map((pair) => {
      const [, key = '', value = ''] = /^([^=]*)=(.*)$/s.exec(pair) ?? [];
      if (keys.includes(key)) return [key, value];
      throw usageError(
        `${flag} takes ${keys.join(', ')}, as in ${keys[0]}=...; found ${JSON.stringify(pair)}`,
        PAGE,
      );
    }),
  );
}

/** The file's content in `encoding`, or the text as given; null when neither is. */
function fromFileOr(
  flags: Flags,
  fileFlag: string,
  textFlag: string,
  encoding: 'utf8' | 'base64',
  directory: string,
): string | null {
  const file = flags.text(fileFlag);
  const text = flags.text(textFlag);
  if (file === undefined) return text ?? null;
  if (text !== undefined) {
    throw usageError(`--${fileFlag} and --${textFlag} exclude each other`, PAGE);
  }
  try {
    return readFileSync(resolve(directory, file)).toString(encoding);
  } catch (error) {
    throw new CliError(`the file of --${fileFlag} cannot be read: ${(error as Error).message}`);
  }
}
