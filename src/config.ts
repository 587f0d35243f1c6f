// The daemon's configuration: one typed, checked, frozen object. Nothing else reads process.env.
import { createHash } from 'node:crypto';
import { realpathSync } from 'node:fs';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import type { EventType } from '../actors/kernel/kind.ts';
import type { LogLevel } from '../actors/kernel/ports.ts';
import { ROLES, type Role } from '../actors/node/state.ts';
import type { Shortcut } from './api/artifacts/shortcuts.ts';
import type { MetricsAccess } from './api/services.ts';
import type { Retention } from './archive/retention.ts';
import { invalid, settingsReader, type Input, type Read } from './config/sources.ts';
import * as value from './config/values.ts';

export { usage } from './config/settings.ts';

export interface Config {
  /** Absolute; everything that is kept. */
  readonly dataDir: string;
  /** Absolute and short; what is true for this boot only. */
  readonly runDir: string;
  readonly logDir: string;
  /** Packages that guests are built from; may be shared by several data directories. */
  readonly cacheDir: string;
  readonly node: string;
  /** What this machine does for the cluster; at least one. */
  readonly roles: readonly Role[];
  /** What this machine fails together with, such as a rack; null: with no other. */
  readonly failureDomain: string | null;
  readonly cluster: string;
  /** DNS zone of virtual networks. */
  readonly zone: string;
  /** Four hex digits in every name and table we make in the kernel. */
  readonly hostTag: string;
  readonly etcd: EtcdConfig;
  /** Socket of a libvirtd to use; null: one of our own. */
  readonly libvirtSocket: string | null;
  /** Null: this machine is alone. */
  readonly mesh: { readonly host: string; readonly port: number } | null;
  readonly api: { readonly address: string; readonly port: number };
  /** CIDR. */
  readonly floatingBlock: string;
  readonly upstreamDns: string;
  readonly underlay: UnderlayConfig;
  /** Addresses that serial and graphic consoles listen on. */
  readonly consoleAddress: string;
  readonly vdiAddress: string;
  readonly image: ImageConfig;
  readonly leaseTtlMs: number;
  readonly missingAfterMs: number;
  /** How long and how much of it the archive of this node keeps, if it has one. */
  readonly retention: Retention;
  readonly logLevel: LogLevel;
  /** Age at which the secret that tokens are signed with is replaced; 0: never by itself. */
  readonly tokenRotateDays: number;
  readonly logFormat: 'json' | 'text';
  /** Who reads the metrics without a token: see src/api/services.ts. */
  readonly metricsAccess: MetricsAccess;
  readonly tour: TourConfig;
  /** The name of an injected crash; null but in tests. */
  readonly crashPoint: string | null;
}

export interface EtcdConfig {
  /** Empty: an etcd of our own. */
  readonly endpoints: readonly string[];
  readonly caFile: string | null;
  readonly certificateFile: string | null;
  readonly keyFile: string | null;
  /** In its certificate; null: that of its host. */
  readonly serverName: string | null;
  /** Where one of our own serves other machines. */
  readonly port: number;
}

export interface UnderlayConfig {
  /** Null: that of the default route. */
  readonly device: string | null;
  /** Null: the device's first. */
  readonly address: string | null;
  /** Bytes; null: as the device has it. */
  readonly mtu: number | null;
  readonly vxlanPort: number;
}

export interface ImageConfig {
  readonly maxDownloadBytes: number;
  readonly maxDiskBytes: number;
  readonly keepFreeBytes: number;
  /** How many nodes keep each blob, where there are as many. */
  readonly copies: number;
  /** How long a node may be away until its replicas are made elsewhere. */
  readonly copyAfterMs: number;
  /** How long a disk that was made of another blob is kept unused. */
  readonly transcodeIdleMs: number;
  /** Of disks, where nobody asked for thin ones. */
  readonly snapshots: 'full' | 'thin';
  /** For how long the consoles of deleted instances are kept as artifacts; 0: not at all. */
  readonly consoleDays: number;
  /** An upload to which no bytes come for so long is removed. */
  readonly uploadIdleMs: number;
  /** Between two readings of each replica, to see whether it is still good. */
  readonly checkEveryMs: number;
  /** Bytes a second that are read for that. */
  readonly checkRate: number;
  /** Bytes a second that copies which nobody waits for take in, and give out; 0: no limit. */
  readonly copyRate: number;
  /** Disks on images of so many bytes or more start while their copy is still being made; null: none does. */
  readonly lazyFromBytes: number | null;
  /** Where other nodes read replicas of this one block by block. */
  readonly readPorts: { readonly first: number; readonly last: number };
  /** Short names of images; the first that fits counts. */
  readonly shortcuts: readonly Shortcut[];
  /** On top of the image driver's own policy: CIDR blocks or addresses. */
  readonly fetchAllow: readonly string[];
  readonly fetchRefuse: readonly string[];
  /** That http images are fetched through; null: none. */
  readonly httpProxy: string | null;
}

export interface TourConfig {
  /** first: when the data directory has seen none; only: then stop; never. */
  readonly when: 'first' | 'only' | 'never';
  /** URL or absolute path of the user's own image; null: the small guest. */
  readonly image: string | null;
}

/** A socket address has 107 bytes; libvirt's socket is this far below the run directory. */
const LONGEST_RUN_DIR = 107 - '/libvirt/libvirt-sock-ro'.length;

/** The configuration of this process. Throws `config/invalid`, naming the setting and what it takes. */
export function configOfProcess(): Config {
  const { INIT_CWD: calledFrom, ...variables } = process.env;
  // npm runs scripts in the package's folder; a person's relative paths mean where they called npm.
  return readConfig({
    flags: process.argv.slice(2),
    variables,
    directory: calledFrom ?? process.cwd(),
  });
}

/** Whether the flags ask for the usage text rather than a daemon. */
export function wantsHelp(flags: readonly string[]): boolean {
  return flags.some((flag) => flag === '--help' || flag === '-h');
}

/** The configuration from these flags and variables, and the settings file they lead to. */
export function readConfig(input: Input): Config {
  const read = settingsReader(input);
  const dataDir = realPath(read('data-dir', value.path));
  const roles = read('roles', value.someOf(...ROLES));
  const hostTag = read('host-tag', value.hostTag, () => tagOf(dataDir));
  return deepFreeze({
    dataDir,
    runDir: readRunDir(read, hostTag),
    logDir: join(dataDir, 'log'),
    cacheDir: read('cache-dir', value.path, () => join(dataDir, 'cache')),
    node: read('node', value.hostLabel, ownHostName),
    roles,
    failureDomain: read('failure-domain', value.optional(value.hostLabel)),
    cluster: read('cluster', value.hostLabel),
    zone: read('zone', value.domain),
    hostTag,
    etcd: readEtcd(read),
    libvirtSocket: read('libvirt', value.optional(value.path)),
    mesh: readMesh(read),
    api: {
      address: read('api-address', value.address),
      port: read('api-port', value.whole(1, 65_535)),
    },
    floatingBlock: read('floating-block', value.netblock),
    upstreamDns: read('upstream-dns', value.remoteAddress),
    underlay: readUnderlay(read),
    consoleAddress: read('console-address', value.address),
    vdiAddress: read('vdi-address', value.address),
    image: readImage(read),
    leaseTtlMs: read('lease-ttl', value.whole(5, 60)) * 1000,
    missingAfterMs: read('missing-after', value.whole(1, 86_400)) * 1000,
    retention: readRetention(read),
    logLevel: read('log-level', value.oneOf('debug', 'info', 'warn', 'error')),
    tokenRotateDays: read('token-rotate-days', value.whole(0, 3_650)),
    logFormat: read('log-format', value.oneOf('json', 'text')),
    metricsAccess: read('metrics-access', value.oneOf('local', 'token', 'open')),
    tour: readTour(read, roles),
    crashPoint: read(
      'crash-point',
      value.optional((text) => text),
    ),
  });
}

function readRunDir(read: Read, hostTag: string): string {
  const runDir = read('run-dir', value.path, () => `/run/troupe-${hostTag}`);
  if (Buffer.byteLength(runDir) <= LONGEST_RUN_DIR) return runDir;
  const what = `expected a path of at most ${LONGEST_RUN_DIR} bytes, because sockets are below it`;
  throw invalid('run-dir', 'its length', what, runDir);
}

function readMesh(read: Read): Config['mesh'] {
  const host = read('mesh-address', value.optional(value.remoteAddress));
  const port = read('mesh-port', value.whole(1, 65_535));
  return host === null ? null : { host, port };
}

function readEtcd(read: Read): EtcdConfig {
  const file = value.optional(value.path);
  const etcd = {
    endpoints: read('etcd', value.listOf(value.url('http', 'https'))),
    caFile: read('etcd-ca', file),
    certificateFile: read('etcd-certificate', file),
    keyFile: read('etcd-key', file),
    serverName: read('etcd-name', value.optional(value.domain)),
    port: read('etcd-port', value.whole(1, 65_535)),
  };
  const secure = etcd.endpoints.filter((endpoint) => endpoint.startsWith('https:')).length;
  if (secure !== 0 && secure !== etcd.endpoints.length) {
    const what = 'expected either http:// or https:// in all of them';
    throw invalid('etcd', 'its URLs', what, etcd.endpoints.join(','));
  }
  if ((etcd.certificateFile === null) !== (etcd.keyFile === null)) {
    const what = 'expected a certificate and its key (etcd-certificate, etcd-key), or neither';
    throw invalid('etcd-key', 'with etcd-certificate', what, etcd.keyFile ?? '');
  }
  return etcd;
}

function readUnderlay(read: Read): UnderlayConfig {
  return {
    device: read('underlay-device', value.optional(value.device)),
    address: read('underlay-address', value.optional(value.remoteAddress)),
    // 1330: what VXLAN adds, and the smallest MTU that IPv6 guests can use.
    mtu: read('underlay-mtu', value.optional(value.whole(1330, 65_571))),
    vxlanPort: read('vxlan-port', value.whole(1, 65_535)),
  };
}

function readImage(read: Read): ImageConfig {
  return {
    maxDownloadBytes: read('image-max-download', value.size),
    maxDiskBytes: read('image-max-disk', value.size),
    keepFreeBytes: read('image-keep-free', value.size),
    copies: read('image-copies', value.whole(1, 16)),
    copyAfterMs: read('image-copy-after', value.whole(0, 86_400)) * 1000,
    transcodeIdleMs: read('image-transcode-idle', value.whole(0, 31_536_000)) * 1000,
    snapshots: read('snapshot-default', value.oneOf('full', 'thin')),
    consoleDays: read('console-archive-days', value.whole(0, 36_500)),
    uploadIdleMs: read('upload-expiry', value.whole(60, 365 * 86_400)) * 1000,
    checkEveryMs: read('image-check-every', value.whole(60, 31_536_000)) * 1000,
    checkRate: read('image-check-rate', value.size),
    copyRate: read('image-copy-rate', value.optional(value.size)) ?? 0,
    lazyFromBytes: read('image-lazy-from', value.orNever(value.size)),
    readPorts: read('image-read-ports', value.portRange),
    shortcuts: read('image-shortcuts', value.listOf(value.shortcut)),
    fetchAllow: read('fetch-allow', value.listOf(value.addressBlock)),
    fetchRefuse: read('fetch-refuse', value.listOf(value.addressBlock)),
    httpProxy: read('http-proxy', value.optional(value.url('http', 'https'))),
  };
}

function readRetention(read: Read): Retention {
  const age = (type: EventType) => read(`max-${type}-event-age`, value.age);
  return {
    eventAgeMs: {
      audit: age('audit'),
      mutate: age('mutate'),
      status: age('status'),
      usage: age('usage'),
      resources: age('resources'),
      prune: age('prune'),
      historic: age('historic'),
    },
    eventsPerObject: read('max-object-events', value.most),
    versionAgeMs: read('max-version-age', value.age),
    versionsPerObject: read('max-object-versions', value.most),
  };
}

/** The tour is taken through this machine's own API. */
function readTour(read: Read, roles: readonly Role[]): TourConfig {
  const when = read('tour', value.oneOf('first', 'only', 'never'));
  const image = read('image', value.optional(value.source));
  if (roles.includes('api')) return { when, image };
  if (when !== 'only') return { when: 'never', image };
  const what = 'expected the role api, since the tour goes through the API of this machine';
  throw invalid('roles', 'with a tour', what, roles.join(','));
}

/** The same directory has one name, so that it has one tag. What does not exist yet keeps its own. */
function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    const parent = dirname(path);
    return parent === path ? path : join(realPath(parent), basename(path));
  }
}

function tagOf(dataDir: string): string {
  return createHash('sha256').update(dataDir).digest('hex').slice(0, 4);
}

function ownHostName(): string {
  return hostname().split('.')[0]?.toLowerCase() ?? '';
}

function deepFreeze<T extends object>(object: T): T {
  for (const inner of Object.values(object))
    if (typeof inner === 'object' && inner !== null) deepFreeze(inner);
  return Object.freeze(object);
}
