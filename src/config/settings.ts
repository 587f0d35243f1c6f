// Every setting, once: its name is the flag (--api-port), the key in the file ("api-port") and the
// variable (TROUPE_API_PORT). Defaults are text, read by the same parser as what a person gives.

export interface Setting {
  /** What the value is, in the usage text. */
  readonly value: string;
  readonly initial: string;
  readonly help: string;
  /** Left out of the usage text: for tests, or for who reads docs/. */
  readonly isHidden?: boolean;
}

/** Of events in the archive. */
function age(text: string, days: number): Setting {
  const help = `how long the archive keeps such events (${text}); -1: for ever`;
  return { value: 'SECONDS', initial: String(days * 86_400), help, isHidden: true };
}

function most(initial: string, what: string): Setting {
  return { value: 'COUNT', initial, help: `most ${what}; -1: any number`, isHidden: true };
}

export const SETTINGS = {
  'data-dir': { value: 'PATH', initial: '/var/lib/troupe', help: 'everything that is kept' },
  'run-dir': {
    value: 'PATH',
    initial: '',
    help: 'records and sockets of this boot (default /run/troupe-TAG)',
    isHidden: true,
  },
  'cache-dir': {
    value: 'PATH',
    initial: '',
    help: 'packages that guests are built from (default DATA-DIR/cache)',
    isHidden: true,
  },
  config: { value: 'FILE', initial: '', help: 'settings as JSON (default DATA-DIR/troupe.json)' },
  node: { value: 'NAME', initial: '', help: "this machine's name (default: its host name)" },
  roles: {
    value: 'ROLES',
    initial: 'hypervisor,storage,api,events',
    help: 'what this machine is for',
  },
  'failure-domain': {
    value: 'NAME',
    initial: '',
    help: 'what it fails together with, such as a rack',
  },
  cluster: { value: 'NAME', initial: 'troupe', help: 'which cluster it belongs to' },
  zone: { value: 'DOMAIN', initial: 'shakenfist', help: 'DNS zone of virtual networks' },
  'host-tag': {
    value: 'HHHH',
    initial: '',
    help: 'marks what we make in the kernel (default: from the data directory)',
    isHidden: true,
  },
  etcd: { value: 'URLS', initial: '', help: 'an etcd to use in place of one of our own' },
  'etcd-ca': { value: 'FILE', initial: '', help: 'certificate that signs that etcd (PEM)' },
  'etcd-certificate': { value: 'FILE', initial: '', help: 'certificate shown to that etcd (PEM)' },
  'etcd-key': { value: 'FILE', initial: '', help: 'its key (PEM)' },
  libvirt: { value: 'SOCKET', initial: '', help: 'a libvirtd to use in place of one of our own' },
  'etcd-name': {
    value: 'NAME',
    initial: '',
    help: "name in that etcd's certificate (default: its host)",
  },
  'etcd-port': {
    value: 'PORT',
    initial: '2379',
    help: 'where an etcd of our own serves the other machines of a cluster',
  },
  'mesh-address': {
    value: 'ADDRESS',
    initial: '',
    help: 'our address for the other machines (default: this machine is alone)',
  },
  'mesh-port': { value: 'PORT', initial: '13010', help: 'where the other machines reach us' },
  'api-address': { value: 'ADDRESS', initial: '127.0.0.1', help: 'where the API listens' },
  'api-port': { value: 'PORT', initial: '13000', help: 'port of the API' },
  'floating-block': {
    value: 'CIDR',
    initial: '192.168.20.0/24',
    help: 'addresses by which guests reach out and are reached',
  },
  'upstream-dns': { value: 'ADDRESS', initial: '8.8.8.8', help: 'where DNS queries are forwarded' },
  'underlay-device': { value: 'DEVICE', initial: '', help: 'link to the other machines' },
  'underlay-address': { value: 'ADDRESS', initial: '', help: 'our address on that link' },
  'underlay-mtu': { value: 'BYTES', initial: '', help: 'MTU of that link (default: as it is set)' },
  'vxlan-port': { value: 'PORT', initial: '4789', help: 'UDP port of VXLAN', isHidden: true },
  'console-address': {
    value: 'ADDRESS',
    initial: '127.0.0.1',
    help: 'where serial consoles listen',
  },
  'vdi-address': { value: 'ADDRESS', initial: '127.0.0.1', help: 'where graphic consoles listen' },
  'image-max-download': { value: 'SIZE', initial: '64G', help: 'largest image that is fetched' },
  'image-max-disk': { value: 'SIZE', initial: '2T', help: 'largest disk that an image may be of' },
  'image-keep-free': { value: 'SIZE', initial: '1G', help: 'disk space that images leave free' },
  'image-copies': {
    value: 'COUNT',
    initial: '2',
    help: 'machines that keep each image, if so many',
  },
  'image-copy-after': {
    value: 'SECONDS',
    initial: '300',
    help: 'how long a node may be away until its replicas are made elsewhere',
  },
  'image-transcode-idle': {
    value: 'SECONDS',
    initial: '86400',
    help: 'how long the disk made of a packed or foreign image is kept that nothing uses',
    isHidden: true,
  },
  'snapshot-default': {
    value: 'KIND',
    initial: 'full',
    help: 'full or thin: snapshots of disks of which nobody said',
    isHidden: true,
  },
  'console-archive-days': {
    value: 'DAYS',
    initial: '0',
    help: 'how long the consoles of deleted instances are kept as artifacts; 0: not',
  },
  'upload-expiry': {
    value: 'SECONDS',
    initial: '86400',
    help: 'an upload to which nothing is added for so long is removed',
  },
  'image-check-every': {
    value: 'SECONDS',
    initial: '86400',
    help: 'how often each replica is read again and checked',
  },
  'image-check-rate': {
    value: 'SIZE',
    initial: '32M',
    help: 'bytes a second that are read for that',
  },
  'image-copy-rate': {
    value: 'SIZE',
    initial: '',
    help: 'bytes a second for copies that nobody waits for',
  },
  'image-lazy-from': {
    value: 'SIZE',
    initial: '1G',
    help: 'larger images need not be copied before a guest starts, or "never"',
  },
  'image-read-ports': {
    value: 'PORTS',
    initial: '13020-13083',
    help: 'where others read images before they have a copy',
  },
  'image-shortcuts': {
    value: 'TABLE',
    initial: [
      'cirros=http://download.cirros-cloud.net/0.6.2/cirros-0.6.2-x86_64-disk.img',
      'cirros:*=http://download.cirros-cloud.net/{version}/cirros-{version}-x86_64-disk.img',
      ...['centos', 'debian', 'fedora', 'rocky', 'ubuntu'].map(
        (name) => `${name}*=https://images.shakenfist.com/{name}/latest.qcow2`,
      ),
    ].join(','),
    help: 'short names of images, such as debian:12, and their addresses',
    isHidden: true,
  },
  'fetch-allow': {
    value: 'BLOCKS',
    initial: '',
    help: 'addresses images may come from although they are refused by default',
  },
  'http-proxy': {
    value: 'URL',
    initial: '',
    help: 'proxy that images with http:// addresses are fetched through',
  },
  'fetch-refuse': { value: 'BLOCKS', initial: '', help: 'more addresses they may not come from' },
  'lease-ttl': { value: 'SECONDS', initial: '10', help: 'silence after which a machine is lost' },
  'missing-after': {
    value: 'SECONDS',
    initial: '120',
    help: 'how long a daemon may be away until what is on its machine is marked missing',
  },
  'max-audit-event-age': age('90 days', 90),
  'max-mutate-event-age': age('90 days', 90),
  'max-status-event-age': age('7 days', 7),
  'max-usage-event-age': age('30 days', 30),
  'max-resources-event-age': age('7 days', 7),
  'max-prune-event-age': age('30 days', 30),
  'max-historic-event-age': age('90 days', 90),
  'max-object-events': most('100000', 'events kept of one object'),
  'max-version-age': {
    ...age('90 days', 90),
    help: 'how long the archive tells what an object was; -1: for ever',
  },
  'max-object-versions': most('1000', 'versions kept of one object'),
  'log-level': { value: 'LEVEL', initial: 'info', help: 'debug, info, warn or error' },
  'token-rotate-days': {
    value: 'DAYS',
    initial: '30',
    help: 'how long one secret signs tokens (0: for ever)',
  },
  'log-format': { value: 'FORMAT', initial: 'json', help: 'json (lines) or text' },
  'metrics-access': {
    value: 'WHO',
    initial: 'local',
    help: 'who reads /metrics without a token: local, token (nobody), open (all)',
  },
  tour: { value: 'WHEN', initial: 'first', help: 'the tour: first (once), only, or never' },
  image: { value: 'URL', initial: '', help: 'take the tour with this image (URL or file)' },
  'crash-point': {
    value: 'NAME',
    initial: '',
    help: 'die there; for tests of recovery',
    isHidden: true,
  },
} as const satisfies Record<string, Setting>;

export type SettingName = keyof typeof SETTINGS;

/** Flags without a value, and what they stand for. */
export const SHORTHANDS: Readonly<Record<string, readonly [SettingName, string]>> = {
  'tour-only': ['tour', 'only'],
  'no-tour': ['tour', 'never'],
};

export function isSettingName(name: string): name is SettingName {
  return Object.hasOwn(SETTINGS, name);
}

/** TROUPE_API_PORT for api-port. */
export function variableOf(name: SettingName): string {
  return `TROUPE_${name.replaceAll('-', '_').toUpperCase()}`;
}

/** What `npm start -- --help` prints. */
export function usage(): string {
  const lines = Object.entries<Setting>(SETTINGS)
    .filter(([, setting]) => setting.isHidden !== true)
    .map(([name, { value, initial, help }]) => {
      const shown = initial === '' ? help : `${help} (default ${initial})`;
      return `  ${`--${name} ${value}`.padEnd(28)}${shown}`;
    });
  return `Usage: npm start -- [SETTINGS]      from a clone
       troupe-daemon [SETTINGS]    where it is installed

Runs one Troupe daemon in the foreground. Ctrl-C stops it, and what it runs.

  ${'--tour-only'.padEnd(28)}take the first-run tour, then stop; exit 0 when all of it worked
  ${'--no-tour'.padEnd(28)}run without the tour
${lines.join('\n')}

Each is also a variable (TROUPE_API_PORT) and a key of the settings file ("api-port"). A flag wins
over a variable, a variable over the file.
`;
}
