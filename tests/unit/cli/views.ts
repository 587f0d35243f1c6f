// Objects as the API shows them.

export const UUID = '6f0c1c52-3a55-4c0e-9a3a-5b1f6f5f2a10';

export function instanceView(members: object = {}) {
  return {
    uuid: UUID,
    name: 'web',
    namespace: 'lab',
    state: 'created',
    error_message: null,
    power_state: 'on',
    node: 'n1',
    cpus: 2,
    memory: 2048,
    disk_spec: [{ size: 20, base: 'debian:12', bus: null, type: 'disk' }],
    disks: [
      { device: 'vda', bus: 'virtio', size: 20, blob_uuid: 'b-1', snapshot_ignores: false },
      { device: 'vdb', bus: 'virtio', size: null, blob_uuid: null, snapshot_ignores: true },
    ],
    video: { model: 'cirrus', memory: 16384, vdi: 'spice' },
    interfaces: [
      {
        uuid: 'i-1',
        network_uuid: 'n-1',
        macaddr: '02:00:00:4e:91:0b',
        ipv4: '10.20.0.57',
        order: 0,
        model: 'virtio',
        floating: null,
        state: 'created',
      },
    ],
    ssh_key: 'ssh-ed25519 AAAA me\n',
    user_data: null,
    configdrive: 'openstack-disk',
    uefi: false,
    secure_boot: false,
    side_channels: [],
    agent_state: null,
    console_port: 41207,
    vdi_port: 33518,
    metadata: {},
    version: 14,
    ...members,
  };
}

export function networkView(members: object = {}) {
  return {
    uuid: 'n-1',
    name: 'front',
    namespace: 'lab',
    netblock: '10.20.0.0/24',
    provide_dhcp: true,
    provide_nat: true,
    provide_dns: false,
    floating_gateway: null,
    vxlan_id: 77,
    state: 'created',
    metadata: {},
    version: 6,
    ...members,
  };
}

export function artifactView(members: object = {}) {
  return {
    uuid: 'a-1',
    state: 'created',
    metadata: {},
    artifact_type: 'image',
    source_url: 'http://images/small.qcow2',
    max_versions: 3,
    namespace: 'lab',
    shared: false,
    index: 1,
    blob_uuid: 'b-1',
    blobs: { 1: { uuid: 'b-1', size: 3 * 1024 * 1024, instances: [UUID] } },
    ...members,
  };
}

/** `n` makes it differ from others. */
export function event(message: string, n: number, extra: object = {}) {
  return {
    timestamp: 1_726_000_000 + n,
    type: 'audit',
    fqdn: 'n1',
    duration: 0,
    message,
    extra: { ...extra, 'request-id': `request-${n}` },
  };
}
