// The config drive of an instance, in the layout of OpenStack's metadata service (version 2017-02-22):
// what cloud-init and our own guest read at boot. Pure: the seed comes from the instance's state, so that the
// drive stays the same until something about the instance changes.
import type { FileTree } from '../blob/ports.ts';

export interface ConfigDriveInterface {
  readonly interfaceId: string;
  readonly networkId: string;
  readonly mac: string;
  /** What the guest must use, bytes: as the segment reported it. */
  readonly mtu: number;
  /** Null: the interface has no address and is left out. */
  readonly ipv4: string | null;
  /** CIDR of the network. */
  readonly netblock: string;
  /** The network's router, and its DNS server where it has one. */
  readonly gateway: string;
  /** The network answers DNS queries itself. */
  readonly hasDNS: boolean;
}

export interface ConfigDriveInput {
  readonly instanceId: string;
  readonly name: string;
  readonly namespace: string;
  readonly zone: string;
  readonly sshKey: string | null;
  /** Base64; whitespace in it is ignored. Null: none. */
  readonly userData: string | null;
  /** In the order of the guest's cards. */
  readonly interfaces: readonly ConfigDriveInterface[];
  /** Used when no network has DNS of its own. */
  readonly upstreamDns: string;
  /** Base64 of the 512 random bytes drawn when the instance was made. */
  readonly randomSeed: string;
}

export type ConfigDrive =
  | { readonly ok: true; readonly files: FileTree }
  | { readonly ok: false; readonly reason: string };

const VERSIONS = ['openstack/latest', 'openstack/2017-02-22'];
const NO_USER_DATA = '#cloud-config\n';

/** The files of the drive; a reason when the user data is not base64. */
export function configDrive(input: ConfigDriveInput): ConfigDrive {
  const userData = input.userData === null ? NO_USER_DATA : decodeBase64(input.userData);
  if (userData === undefined) {
    return {
      ok: false,
      reason: 'user_data is not base64: encode it first (base64 -w0 FILE), and send that text',
    };
  }
  const files = {
    'meta_data.json': JSON.stringify(metaData(input)),
    'network_data.json': JSON.stringify(networkData(input)),
    user_data: userData,
    'vendor_data.json': '{}',
    'vendor_data2.json': '{}',
  };
  const tree = VERSIONS.flatMap((version) =>
    Object.entries(files).map(([name, content]) => [`${version}/${name}`, content] as const),
  );
  return { ok: true, files: Object.fromEntries(tree) };
}

function metaData(input: ConfigDriveInput) {
  return {
    uuid: input.instanceId,
    name: input.name,
    hostname: `${input.name}.local`,
    availability_zone: input.zone,
    launch_index: 0,
    devices: [],
    project_id: null,
    public_keys: { mykey: input.sshKey },
    random_seed: input.randomSeed,
  };
}

/** An interface with an address, with its place among all of the guest's cards. */
interface Addressed extends ConfigDriveInterface {
  readonly ipv4: string;
  readonly order: number;
}

function networkData(input: ConfigDriveInput) {
  const addressed = input.interfaces.flatMap((nic, order): Addressed[] =>
    nic.ipv4 === null ? [] : [{ ...nic, ipv4: nic.ipv4, order }],
  );
  return {
    links: addressed.map(link),
    networks: addressed.map((nic, index) => network(nic, index === 0)),
    services: services(input, addressed),
  };
}

function link({ order, interfaceId, mac, mtu }: Addressed) {
  const name = `eth${order}`;
  return { id: name, name, type: 'vif', vif_id: interfaceId, ethernet_mac_address: mac, mtu };
}

/** A guest gets one default route: over the first of its networks that gives it an address. */
function network(nic: Addressed, hasDefaultRoute: boolean) {
  const route = { network: '0.0.0.0', netmask: '0.0.0.0', gateway: nic.gateway };
  return {
    id: `${nic.networkId}-${nic.order}`,
    link: `eth${nic.order}`,
    type: 'ipv4',
    network_id: nic.networkId,
    ip_address: nic.ipv4,
    netmask: netmaskOf(nic.netblock),
    ...(hasDefaultRoute ? { routes: [route] } : {}),
  };
}

function services(input: ConfigDriveInput, addressed: readonly Addressed[]) {
  const byNetwork = new Map(
    addressed.filter(({ hasDNS }) => hasDNS).map((nic) => [nic.networkId, nic.gateway]),
  );
  if (byNetwork.size === 0) return [{ type: 'dns', address: input.upstreamDns }];
  const search = [`${input.namespace}.${input.zone}`];
  return [...byNetwork.values()].map((address) => ({ type: 'dns', address, search }));
}

function netmaskOf(netblock: string): string {
  const bits = Number(netblock.split('/')[1]);
  return [0, 8, 16, 24]
    .map((before) => 256 - 2 ** (8 - Math.min(8, Math.max(0, bits - before))))
    .join('.');
}

/** Undefined when it is not base64. Strict: decoders that skip what they do not know turn a typing error into rubbish. */
function decodeBase64(text: string): Uint8Array | undefined {
  const packed = text.replace(/\s+/g, '');
  const isBase64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(packed);
  return isBase64 ? new Uint8Array(Buffer.from(packed, 'base64')) : undefined;
}
