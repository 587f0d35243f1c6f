/* oxlint-disable max-lines */
// The API's routes as types: what each takes and answers. Made from the table of routes by `npm run client-types`: not to be
// edited. tests/unit/client/operations.test.ts holds both together.

export interface Namespace {
  readonly name: string;
  readonly state: string;
  readonly metadata: Metadata;
  readonly version: number;
  readonly keys: readonly string[];
  readonly trust: {
    readonly full: readonly string[];
  };
}

export interface Metadata {
  readonly [key: string]: unknown;
}

export interface Event {
  readonly timestamp: number;
  readonly type: string | null;
  readonly fqdn: string | null;
  readonly duration: number | null;
  readonly message: string;
  readonly extra: Readonly<Record<string, unknown>> | null;
}

export interface Instance {
  readonly uuid: string;
  readonly name: string;
  readonly namespace: string;
  readonly state: string;
  readonly error_message: string | null;
  readonly power_state: string;
  readonly node: string | null;
  readonly requested_placement?: string;
  readonly cpus: number;
  readonly memory: number;
  readonly disk_spec: readonly Readonly<Record<string, unknown>>[];
  readonly disks: readonly {
    readonly device: string;
    readonly bus: string;
    readonly size: number | null;
    readonly blob_uuid: string | null;
    readonly snapshot_ignores: boolean;
  }[];
  readonly video: Readonly<Record<string, unknown>>;
  readonly interfaces: readonly Interface[];
  readonly ssh_key: string | null;
  readonly user_data: string | null;
  readonly configdrive: string;
  readonly uefi: boolean;
  readonly secure_boot: boolean;
  readonly nvram_template: string | null;
  readonly machine_type: string;
  readonly side_channels: readonly string[];
  readonly agent_state: string | null;
  readonly agent_start_time: number | null;
  readonly agent_system_boot_time: number | null;
  readonly console_port: number | null;
  readonly vdi_port: number | null;
  readonly vdi_tls_port: number | null;
  readonly metadata: Metadata;
  readonly version: number;
}

export interface Interface {
  readonly uuid: string;
  readonly network_uuid: string;
  readonly instance_uuid: string;
  readonly macaddr: string;
  readonly ipv4: string | null;
  readonly order: number;
  readonly model: string;
  readonly floating: string | null;
  readonly state: string;
  readonly metadata: Metadata;
  readonly version: number;
}

export interface Network {
  readonly uuid: string;
  readonly name: string | null;
  readonly namespace: string | null;
  readonly netblock: string;
  readonly provide_dhcp: boolean;
  readonly provide_nat: boolean;
  readonly provide_dns: boolean;
  readonly floating_gateway: string | null;
  readonly vxlan_id: number;
  readonly state: string;
  readonly metadata: Metadata;
  readonly version: number;
}

export interface Address {
  readonly address: string;
  readonly user: readonly [string, string] | null;
  readonly when: number;
  readonly type: string;
  readonly comment: string;
}

export interface Artifact {
  readonly uuid: string;
  readonly state: string;
  readonly metadata: Metadata;
  readonly version: number;
  readonly artifact_type: string;
  readonly source_url: string;
  readonly max_versions: number;
  readonly copies?: number;
  readonly namespace: string;
  readonly shared: boolean;
  readonly index: number;
  readonly blob_uuid?: string;
  readonly blobs: Readonly<
    Record<
      string,
      {
        readonly uuid: string;
        readonly size: number;
        readonly reference_count: number;
        readonly depends_on: string | null;
        readonly instances?: readonly string[];
      }
    >
  >;
}

export interface Upload {
  readonly uuid: string;
  readonly state: string;
  readonly metadata: Metadata;
  readonly version: number;
  readonly node: string;
  readonly created_at: number;
}

export interface Blob {
  readonly uuid: string;
  readonly state: string;
  readonly metadata: Metadata;
  readonly version: number;
  readonly size: number;
  readonly modified: number;
  readonly fetched_at: number;
  readonly depends_on: string | null;
  readonly transcodes: Readonly<Record<string, string>>;
  readonly locations: readonly string[];
  readonly reference_count: number;
  readonly sha512: string | null;
  readonly last_used: number | null;
  readonly 'file format'?: string;
  readonly 'virtual size'?: number;
  readonly 'disk size'?: string;
  readonly cluster_size?: number;
  readonly compat?: number;
  readonly 'compression type'?: string;
  readonly 'extended l2'?: string;
  readonly 'mime-type'?: string;
  readonly instances?: readonly string[];
}

export interface Node {
  readonly uuid: string;
  readonly name: string;
  readonly state: string;
  readonly metadata: Metadata;
  readonly version: number;
  readonly ip: string;
  readonly lastseen: number;
  readonly release: string | null;
  readonly is_etcd_master: boolean;
  readonly is_hypervisor: boolean;
  readonly is_network_node: boolean;
  readonly is_eventlog_node: boolean;
  readonly is_cluster_maintainer: boolean;
  readonly is_draining: boolean;
  readonly roles: readonly string[];
  readonly failure_domain: string | null;
  readonly instances: number;
}

export interface Error {
  /** A sentence; seldom an object. */
  readonly error: unknown;
  /** The same as of the answer. */
  readonly status: number;
}

/** By method and path; path variables stand in braces. */
export interface Operations {
  /** Front page: names the service and lists the capability words. */
  'GET /': {
    readonly params: Readonly<Record<never, string>>;
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: Uint8Array;
  };
  /** Answers as long as the daemon is alive. */
  'GET /healthz': {
    readonly params: Readonly<Record<never, string>>;
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: {
      readonly node: string;
      readonly revision: number;
      readonly stale: boolean;
    };
  };
  /** Answers 200 when this daemon may serve, else 503 with the reasons. */
  'GET /readyz': {
    readonly params: Readonly<Record<never, string>>;
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: {
      readonly node: string;
      readonly revision: number;
      readonly stale: boolean;
    };
  };
  /** Metrics of this daemon, in the text format of Prometheus or OpenMetrics. */
  'GET /metrics': {
    readonly params: Readonly<Record<never, string>>;
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: Uint8Array;
  };
  /** Log in: a namespace's secret for a token. */
  'POST /auth': {
    readonly params: Readonly<Record<never, string>>;
    readonly body: {
      /** Name of the namespace. */
      readonly namespace?: string;
      /** The secret. */
      readonly key?: string;
    };
    readonly answer: {
      readonly access_token: string;
      readonly token_type: 'Bearer';
      readonly expires_in: number;
    };
  };
  /** Namespaces that trust the caller. */
  'GET /auth/namespaces': {
    readonly params: Readonly<Record<never, string>>;
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: readonly Namespace[];
  };
  /** Make a namespace, if need be with a first key. */
  'POST /auth/namespaces': {
    readonly params: Readonly<Record<never, string>>;
    readonly body: {
      /** Name of the namespace. */
      readonly namespace?: string;
      /** What the key is called. */
      readonly key_name?: string;
      /** The secret. */
      readonly key?: string;
      readonly expires_at?: unknown;
    };
    readonly answer: Namespace;
  };
  /** One namespace. */
  'GET /auth/namespaces/{namespace}': {
    readonly params: { readonly namespace: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: Namespace;
  };
  /** Delete a namespace and its artifacts; its instances and networks have to be gone. */
  'DELETE /auth/namespaces/{namespace}': {
    readonly params: { readonly namespace: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: null;
  };
  /** Events of a namespace, its keys and trusts, newest first. */
  'GET /auth/namespaces/{namespace}/events': {
    readonly params: { readonly namespace: string };
    readonly body: {
      /** audit, mutate, status, usage, resources, prune or historic. */
      readonly event_type?: string | null;
      /** How many at most; negative: all. */
      readonly limit?: number;
    };
    readonly answer: readonly Event[];
  };
  /** Names of its keys. */
  'GET /auth/namespaces/{namespace}/keys': {
    readonly params: { readonly namespace: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: readonly string[];
  };
  /** Give a namespace a key, or replace the one of that name. */
  'POST /auth/namespaces/{namespace}/keys': {
    readonly params: { readonly namespace: string };
    readonly body: {
      /** What the key is called. */
      readonly key_name?: string;
      /** The secret. */
      readonly key?: string;
      readonly expires_at?: unknown;
    };
    readonly answer: string;
  };
  /** Replace a key that there is. */
  'PUT /auth/namespaces/{namespace}/keys': {
    readonly params: { readonly namespace: string };
    readonly body: {
      /** What the key is called. */
      readonly key_name?: string;
      /** The secret. */
      readonly key?: string;
      readonly expires_at?: unknown;
    };
    readonly answer: string;
  };
  /** Replace a key that there is. */
  'PUT /auth/namespaces/{namespace}/keys/{key_name}': {
    readonly params: { readonly namespace: string; readonly key_name: string };
    readonly body: {
      /** The secret. */
      readonly key?: string;
      readonly expires_at?: unknown;
    };
    readonly answer: string;
  };
  /** Remove a key; tokens made with it die. */
  'DELETE /auth/namespaces/{namespace}/keys/{key_name}': {
    readonly params: { readonly namespace: string; readonly key_name: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: null;
  };
  /** Let another namespace act on this one. */
  'POST /auth/namespaces/{namespace}/trust': {
    readonly params: { readonly namespace: string };
    readonly body: {
      /** The namespace that may act on this one. */
      readonly external_namespace?: string;
    };
    readonly answer: Namespace;
  };
  /** Let another namespace act on this one no more. */
  'DELETE /auth/namespaces/{namespace}/trust/{external_namespace}': {
    readonly params: { readonly namespace: string; readonly external_namespace: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: Namespace;
  };
  /** The caller's instances; system sees everybody's. */
  'GET /instances': {
    readonly params: Readonly<Record<never, string>>;
    readonly body: {
      /** Also those that are deleted, while they are kept. */
      readonly all?: boolean | null;
    };
    readonly answer: readonly Instance[];
  };
  /** Make an instance; answers once its addresses and its node are decided. */
  'POST /instances': {
    readonly params: Readonly<Record<never, string>>;
    readonly body: {
      /** What it is called. */
      readonly name?: string | null;
      /** Number of vCPUs. */
      readonly cpus?: number | null;
      /** MiB. */
      readonly memory?: number | null;
      /** At least one disk. */
      readonly disk?: readonly {
        /** GiB; the image says it if left out. */
        readonly size?: number;
        /** Image: URL, name such as debian:12, label:NAME, sf://upload|label/NAMESPACE/NAME, sf://snapshot|blob/UUID; none: a blank disk. */
        readonly base?: string;
        readonly bus?: 'virtio' | 'sata' | 'scsi' | 'usb' | 'nvme';
        readonly type?: 'disk' | 'cdrom';
      }[];
      /** Networks, an interface on each. */
      readonly network?: readonly {
        /** UUID or name, as seen from the caller's namespace. */
        readonly network_uuid: string;
        /** Left out or empty: the network chooses; null: no address. */
        readonly address?: string | null;
        readonly macaddress?: string | null;
        readonly model?: string;
        /** Also a floating address. */
        readonly float?: boolean;
      }[];
      /** Public key, for the config drive. */
      readonly ssh_key?: string | null;
      /** Base64, for cloud-init. */
      readonly user_data?: string | null;
      /** Name of the machine it has to run on. */
      readonly placed_on?: string | null;
      /** Name of a namespace; the caller's if left out. */
      readonly namespace?: string | null;
      /** The graphics card. */
      readonly video?: {
        /** cirrus, vga, qxl. */
        readonly model: string;
        /** KiB. */
        readonly memory: number;
        readonly vdi?: 'vnc' | 'spice' | 'spiceconcurrent';
      };
      /** UEFI instead of BIOS. */
      readonly uefi?: boolean | null;
      /** Needs uefi. */
      readonly secure_boot?: boolean | null;
      /** UEFI variables to start with. */
      readonly nvram_template?: string | null;
      /** `openstack-disk` or `none`. */
      readonly configdrive?: string | null;
      /** Pairs of a key and any JSON value. */
      readonly metadata?: Readonly<Record<string, unknown>>;
      /** Names of virtio-serial ports. */
      readonly side_channels?: readonly string[] | null;
    };
    readonly answer: Instance;
  };
  /** Delete all instances of a namespace; of `system`: all there are. */
  'DELETE /instances': {
    readonly params: Readonly<Record<never, string>>;
    readonly body: {
      /** Has to be true. */
      readonly confirm?: boolean;
      /** Name of a namespace; the caller's if left out. */
      readonly namespace?: string;
    };
    readonly answer: readonly string[];
  };
  /** One instance. */
  'GET /instances/{instance_ref}': {
    readonly params: { readonly instance_ref: string };
    readonly body: {
      /** Name of a namespace; the caller's if left out. */
      readonly namespace?: string | null;
    };
    readonly answer: Instance;
  };
  /** Delete an instance; poll it until `deleted`. */
  'DELETE /instances/{instance_ref}': {
    readonly params: { readonly instance_ref: string };
    readonly body: {
      /** Name of a namespace; the caller's if left out. */
      readonly namespace?: string | null;
    };
    readonly answer: Instance;
  };
  /** Interfaces of an instance, in order of attachment. */
  'GET /instances/{instance_ref}/interfaces': {
    readonly params: { readonly instance_ref: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: readonly Interface[];
  };
  /** Give an instance one more interface; a running guest gets it while it runs. */
  'POST /instances/{instance_ref}/interfaces': {
    readonly params: { readonly instance_ref: string };
    readonly body: {
      /** The network, and what address on it. */
      readonly network?: {
        /** UUID or name, as seen from the caller's namespace. */
        readonly network_uuid: string;
        /** Left out or empty: the network chooses; null: no address. */
        readonly address?: string | null;
        readonly macaddress?: string | null;
        readonly model?: string;
        /** Also a floating address. */
        readonly float?: boolean;
      };
    };
    readonly answer: Interface;
  };
  /** Events of an instance, newest first. */
  'GET /instances/{instance_ref}/events': {
    readonly params: { readonly instance_ref: string };
    readonly body: {
      /** audit, mutate, status, usage, resources, prune or historic. */
      readonly event_type?: string | null;
      /** How many at most; negative: all. */
      readonly limit?: number;
    };
    readonly answer: readonly Event[];
  };
  /** A file with which remote-viewer connects to the instance's screen. */
  'GET /instances/{instance_ref}/vdiconsolehelper': {
    readonly params: { readonly instance_ref: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: Uint8Array;
  };
  /** The last bytes of the serial console's log. */
  'GET /instances/{instance_ref}/consoledata': {
    readonly params: { readonly instance_ref: string };
    readonly body: {
      /** Bytes; negative: all. */
      readonly length?: number;
    };
    readonly answer: Uint8Array;
  };
  /** Empty the serial console's log. */
  'DELETE /instances/{instance_ref}/consoledata': {
    readonly params: { readonly instance_ref: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: null;
  };
  /** Ask the guest to reboot. */
  'POST /instances/{instance_ref}/rebootsoft': {
    readonly params: { readonly instance_ref: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: null;
  };
  /** Reset the instance. */
  'POST /instances/{instance_ref}/reboothard': {
    readonly params: { readonly instance_ref: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: null;
  };
  /** Ask the guest to reboot, or reset it with `hard`. */
  'POST /instances/{instance_ref}/reboot': {
    readonly params: { readonly instance_ref: string };
    readonly body: {
      /** Reset it instead of asking the guest. */
      readonly hard?: boolean | null;
    };
    readonly answer: null;
  };
  /** Cut the instance's power. */
  'POST /instances/{instance_ref}/poweroff': {
    readonly params: { readonly instance_ref: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: null;
  };
  /** Start an instance that is off. */
  'POST /instances/{instance_ref}/poweron': {
    readonly params: { readonly instance_ref: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: null;
  };
  /** Stand the instance still; its memory stays. */
  'POST /instances/{instance_ref}/pause': {
    readonly params: { readonly instance_ref: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: null;
  };
  /** Let a paused instance go on. */
  'POST /instances/{instance_ref}/unpause': {
    readonly params: { readonly instance_ref: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: null;
  };
  /** Run a line of the guest's shell through the agent in it. */
  'POST /instances/{instance_ref}/agent/execute': {
    readonly params: { readonly instance_ref: string };
    readonly body: {
      /** Command for the guest. */
      readonly command_line?: string;
    };
    readonly answer: {
      readonly uuid: string;
      readonly state: string;
      readonly metadata: Readonly<Record<string, unknown>>;
      readonly version: number;
      readonly namespace: string;
      readonly instance_uuid: string;
      readonly commands: readonly (
        | {
            readonly command: 'execute';
            readonly commandline: string;
            readonly 'block-for-result': boolean;
          }
        | {
            readonly command: 'get-file';
            readonly path: string;
          }
        | {
            readonly command: 'put-blob';
            readonly blob_uuid: string;
            readonly path: string;
          }
        | {
            readonly command: 'chmod';
            readonly path: string;
            readonly mode: number | string;
          }
      )[];
      readonly results: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
    };
  };
  /** Fetch a file from the guest; it becomes a blob. */
  'POST /instances/{instance_ref}/agent/get': {
    readonly params: { readonly instance_ref: string };
    readonly body: {
      /** Path in the guest. */
      readonly path?: string;
    };
    readonly answer: {
      readonly uuid: string;
      readonly state: string;
      readonly metadata: Readonly<Record<string, unknown>>;
      readonly version: number;
      readonly namespace: string;
      readonly instance_uuid: string;
      readonly commands: readonly (
        | {
            readonly command: 'execute';
            readonly commandline: string;
            readonly 'block-for-result': boolean;
          }
        | {
            readonly command: 'get-file';
            readonly path: string;
          }
        | {
            readonly command: 'put-blob';
            readonly blob_uuid: string;
            readonly path: string;
          }
        | {
            readonly command: 'chmod';
            readonly path: string;
            readonly mode: number | string;
          }
      )[];
      readonly results: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
    };
  };
  /** Put a blob into the guest as a file. */
  'POST /instances/{instance_ref}/agent/put': {
    readonly params: { readonly instance_ref: string };
    readonly body: {
      /** UUID of a blob. */
      readonly blob_uuid?: string;
      /** Path in the guest. */
      readonly path?: string;
      /** Mode of the file. */
      readonly mode?: number | string;
    };
    readonly answer: {
      readonly uuid: string;
      readonly state: string;
      readonly metadata: Readonly<Record<string, unknown>>;
      readonly version: number;
      readonly namespace: string;
      readonly instance_uuid: string;
      readonly commands: readonly (
        | {
            readonly command: 'execute';
            readonly commandline: string;
            readonly 'block-for-result': boolean;
          }
        | {
            readonly command: 'get-file';
            readonly path: string;
          }
        | {
            readonly command: 'put-blob';
            readonly blob_uuid: string;
            readonly path: string;
          }
        | {
            readonly command: 'chmod';
            readonly path: string;
            readonly mode: number | string;
          }
      )[];
      readonly results: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
    };
  };
  /** Agent operations of an instance that have not begun; all of them with `all`. */
  'GET /instances/{instance_ref}/agentoperations': {
    readonly params: { readonly instance_ref: string };
    readonly body: {
      /** Also those that are deleted, while they are kept. */
      readonly all?: boolean | null;
    };
    readonly answer: readonly {
      readonly uuid: string;
      readonly state: string;
      readonly metadata: Readonly<Record<string, unknown>>;
      readonly version: number;
      readonly namespace: string;
      readonly instance_uuid: string;
      readonly commands: readonly (
        | {
            readonly command: 'execute';
            readonly commandline: string;
            readonly 'block-for-result': boolean;
          }
        | {
            readonly command: 'get-file';
            readonly path: string;
          }
        | {
            readonly command: 'put-blob';
            readonly blob_uuid: string;
            readonly path: string;
          }
        | {
            readonly command: 'chmod';
            readonly path: string;
            readonly mode: number | string;
          }
      )[];
      readonly results: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
    }[];
  };
  /** Take a picture of the guest's screen; answers the UUID of a new blob. */
  'GET /instances/{instance_ref}/screenshot': {
    readonly params: { readonly instance_ref: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: string;
  };
  /** Snapshot disks of an instance; answers what will be made of each, before anything is. */
  'POST /instances/{instance_ref}/snapshot': {
    readonly params: { readonly instance_ref: string };
    readonly body: {
      /** All disks at the same moment, not only the first. */
      readonly all?: boolean | null;
      /** Device of a disk, such as `vda`. */
      readonly device?: string | null;
      /** How many versions are kept. */
      readonly max_versions?: number;
      /** A snapshot on top of its base, not a whole one; refused yet. */
      readonly thin?: boolean | null;
    };
    readonly answer: Readonly<
      Record<
        string,
        {
          readonly source_url: string;
          readonly artifact_uuid: string;
          readonly blob_uuid: string;
        }
      >
    >;
  };
  /** Snapshots of an instance: the versions of each of its disks, oldest first. */
  'GET /instances/{instance_ref}/snapshot': {
    readonly params: { readonly instance_ref: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: readonly {
      readonly uuid: string;
      readonly state: string;
      readonly metadata: Metadata;
      readonly version: number;
      readonly size: number;
      readonly modified: number;
      readonly fetched_at: number;
      readonly depends_on: string | null;
      readonly transcodes: Readonly<Record<string, string>>;
      readonly locations: readonly string[];
      readonly reference_count: number;
      readonly sha512: string | null;
      readonly last_used: number | null;
      readonly 'file format'?: string;
      readonly 'virtual size'?: number;
      readonly 'disk size'?: string;
      readonly cluster_size?: number;
      readonly compat?: number;
      readonly 'compression type'?: string;
      readonly 'extended l2'?: string;
      readonly 'mime-type'?: string;
      readonly instances: readonly string[];
      readonly artifact_type: string;
      readonly source_url: string;
      readonly max_versions: number;
      readonly namespace: string;
      readonly shared: boolean;
      readonly blob_uuid: string;
      readonly device: string;
      readonly created: number;
    }[];
  };
  /** The caller's networks; system sees everybody's. */
  'GET /networks': {
    readonly params: Readonly<Record<never, string>>;
    readonly body: {
      /** Also those that are deleted, while they are kept. */
      readonly all?: boolean | null;
    };
    readonly answer: readonly Network[];
  };
  /** Make a virtual network; poll it until `created`. */
  'POST /networks': {
    readonly params: Readonly<Record<never, string>>;
    readonly body: {
      /** IPv4 block, such as 10.20.0.0/24. */
      readonly netblock?: string;
      /** What it is called. */
      readonly name?: string | null;
      /** Answer DHCP. */
      readonly provide_dhcp?: boolean | null;
      /** Let guests reach out. */
      readonly provide_nat?: boolean | null;
      /** Answer for the network's own names. */
      readonly provide_dns?: boolean | null;
      /** Name of a namespace; the caller's if left out. */
      readonly namespace?: string | null;
    };
    readonly answer: Network;
  };
  /** Delete all networks of a namespace; those in use only if they may wait for that. */
  'DELETE /networks': {
    readonly params: Readonly<Record<never, string>>;
    readonly body: {
      /** Has to be true. */
      readonly confirm?: boolean;
      /** Name of a namespace; the caller's if left out. */
      readonly namespace?: string;
      readonly clean_wait?: boolean | null;
    };
    readonly answer: readonly string[];
  };
  /** One network. */
  'GET /networks/{network_ref}': {
    readonly params: { readonly network_ref: string };
    readonly body: {
      /** Name of a namespace; the caller's if left out. */
      readonly namespace?: string | null;
    };
    readonly answer: Network;
  };
  /** Delete a network, once its last interface is gone. */
  'DELETE /networks/{network_ref}': {
    readonly params: { readonly network_ref: string };
    readonly body: {
      /** Name of a namespace; the caller's if left out. */
      readonly namespace?: string | null;
    };
    readonly answer: Network | null;
  };
  /** Interfaces on the network. */
  'GET /networks/{network_ref}/interfaces': {
    readonly params: { readonly network_ref: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: readonly Interface[];
  };
  /** Addresses that are given out or rest, by address as text. */
  'GET /networks/{network_ref}/addresses': {
    readonly params: { readonly network_ref: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: readonly Address[];
  };
  /** Events of a network, newest first. */
  'GET /networks/{network_ref}/events': {
    readonly params: { readonly network_ref: string };
    readonly body: {
      /** audit, mutate, status, usage, resources, prune or historic. */
      readonly event_type?: string | null;
      /** How many at most; negative: all. */
      readonly limit?: number;
    };
    readonly answer: readonly Event[];
  };
  /** Route an address of the floating pool into a network; answers the address. */
  'POST /networks/{network_ref}/route': {
    readonly params: { readonly network_ref: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: string;
  };
  /** Route an address into a network no more, and give it back to the floating pool. */
  'DELETE /networks/{network_ref}/route/{address}': {
    readonly params: { readonly network_ref: string; readonly address: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: null;
  };
  /** Add or replace a name that a network's DNS server answers for. */
  'POST /networks/{network_ref}/dns': {
    readonly params: { readonly network_ref: string };
    readonly body: {
      /** What it is called. */
      readonly name?: string | null;
      /** Any JSON value that is not empty. */
      readonly value?: string | null;
    };
    readonly answer: null;
  };
  /** Remove a name from a network's DNS server; quiet when it is not there. */
  'DELETE /networks/{network_ref}/dns': {
    readonly params: { readonly network_ref: string };
    readonly body: {
      /** What it is called. */
      readonly name?: string | null;
    };
    readonly answer: null;
  };
  /** Send ten echo requests from a network's router; answers what ping printed. */
  'GET /networks/{network_ref}/ping/{address}': {
    readonly params: { readonly network_ref: string; readonly address: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: {
      readonly stdout: readonly string[];
      readonly stderr: readonly string[];
    };
  };
  /** One interface. */
  'GET /interfaces/{interface_uuid}': {
    readonly params: { readonly interface_uuid: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: Interface;
  };
  /** Give an interface a floating address, which it has when this is answered. */
  'POST /interfaces/{interface_uuid}/float': {
    readonly params: { readonly interface_uuid: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: null;
  };
  /** Take an interface's floating address away; quiet when it has none. */
  'POST /interfaces/{interface_uuid}/defloat': {
    readonly params: { readonly interface_uuid: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: null;
  };
  /** One agent operation, with what the guest has answered. */
  'GET /agentoperations/{operation_uuid}': {
    readonly params: { readonly operation_uuid: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: {
      readonly uuid: string;
      readonly state: string;
      readonly metadata: Readonly<Record<string, unknown>>;
      readonly version: number;
      readonly namespace: string;
      readonly instance_uuid: string;
      readonly commands: readonly (
        | {
            readonly command: 'execute';
            readonly commandline: string;
            readonly 'block-for-result': boolean;
          }
        | {
            readonly command: 'get-file';
            readonly path: string;
          }
        | {
            readonly command: 'put-blob';
            readonly blob_uuid: string;
            readonly path: string;
          }
        | {
            readonly command: 'chmod';
            readonly path: string;
            readonly mode: number | string;
          }
      )[];
      readonly results: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
    };
  };
  /** Call an agent operation off, or forget it and its results. */
  'DELETE /agentoperations/{operation_uuid}': {
    readonly params: { readonly operation_uuid: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: {
      readonly uuid: string;
      readonly state: string;
      readonly metadata: Readonly<Record<string, unknown>>;
      readonly version: number;
      readonly namespace: string;
      readonly instance_uuid: string;
      readonly commands: readonly (
        | {
            readonly command: 'execute';
            readonly commandline: string;
            readonly 'block-for-result': boolean;
          }
        | {
            readonly command: 'get-file';
            readonly path: string;
          }
        | {
            readonly command: 'put-blob';
            readonly blob_uuid: string;
            readonly path: string;
          }
        | {
            readonly command: 'chmod';
            readonly path: string;
            readonly mode: number | string;
          }
      )[];
      readonly results: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
    };
  };
  /** Artifacts that the caller may read. */
  'GET /artifacts': {
    readonly params: Readonly<Record<never, string>>;
    readonly body: {
      /** Name of a machine. */
      readonly node?: string | null;
    };
    readonly answer: readonly Artifact[];
  };
  /** Cache an image from a URL; poll it until `created`. */
  'POST /artifacts': {
    readonly params: Readonly<Record<never, string>>;
    readonly body: {
      /** Address of an image. */
      readonly url?: string | null;
      /** Everybody may read it; for the system namespace. */
      readonly shared?: boolean | null;
      /** Name of a namespace; the caller's if left out. */
      readonly namespace?: string | null;
      readonly checksum?: string | null;
    };
    readonly answer: Artifact;
  };
  /** Delete all artifacts of a namespace. */
  'DELETE /artifacts': {
    readonly params: Readonly<Record<never, string>>;
    readonly body: {
      /** Has to be true. */
      readonly confirm?: boolean;
      /** Name of a namespace; the caller's if left out. */
      readonly namespace?: string;
    };
    readonly answer: readonly string[];
  };
  /** Delete an artifact. */
  'DELETE /artifacts/{artifact_ref}': {
    readonly params: { readonly artifact_ref: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: Artifact | null;
  };
  /** One artifact, with the instances that use its blobs. */
  'GET /artifacts/{artifact_ref}': {
    readonly params: { readonly artifact_ref: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: Artifact;
  };
  /** Make an upload, or a blob, a version of an artifact. */
  'POST /artifacts/upload/{artifact_name}': {
    readonly params: { readonly artifact_name: string };
    readonly body: {
      /** UUID of an upload. */
      readonly upload_uuid?: string | null;
      /** UUID of a blob. */
      readonly blob_uuid?: string | null;
      /** Where it came from. */
      readonly source_url?: string | null;
      /** Everybody may read it; for the system namespace. */
      readonly shared?: boolean | null;
      /** Name of a namespace; the caller's if left out. */
      readonly namespace?: string | null;
      readonly artifact_type?: string | null;
    };
    readonly answer: Artifact;
  };
  /** Versions of an artifact, oldest first. */
  'GET /artifacts/{artifact_ref}/versions': {
    readonly params: { readonly artifact_ref: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: readonly {
      readonly uuid: string;
      readonly state: string;
      readonly metadata: Metadata;
      readonly version: number;
      readonly size: number;
      readonly modified: number;
      readonly fetched_at: number;
      readonly depends_on: string | null;
      readonly transcodes: Readonly<Record<string, string>>;
      readonly locations: readonly string[];
      readonly reference_count: number;
      readonly sha512: string | null;
      readonly last_used: number | null;
      readonly 'file format'?: string;
      readonly 'virtual size'?: number;
      readonly 'disk size'?: string;
      readonly cluster_size?: number;
      readonly compat?: number;
      readonly 'compression type'?: string;
      readonly 'extended l2'?: string;
      readonly 'mime-type'?: string;
      readonly instances?: readonly string[];
      readonly index: number;
    }[];
  };
  /** Set how many versions are kept; older ones go at once. */
  'POST /artifacts/{artifact_ref}/versions': {
    readonly params: { readonly artifact_ref: string };
    readonly body: {
      /** How many versions are kept. */
      readonly max_versions?: number;
    };
    readonly answer: null;
  };
  /** Set how many nodes are to keep each version; null: as many as the cluster keeps. */
  'POST /artifacts/{artifact_ref}/copies': {
    readonly params: { readonly artifact_ref: string };
    readonly body: {
      /** How many nodes are to keep it; null: as many as the cluster keeps. */
      readonly copies?: number | null;
    };
    readonly answer: null;
  };
  /** Remove a version; the last one takes the artifact along. */
  'DELETE /artifacts/{artifact_ref}/versions/{index}': {
    readonly params: { readonly artifact_ref: string; readonly index: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: Artifact;
  };
  /** Let every namespace use an artifact of the system namespace. */
  'POST /artifacts/{artifact_ref}/share': {
    readonly params: { readonly artifact_ref: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: Artifact;
  };
  /** Let only its own namespace, and who that trusts, use an artifact. */
  'POST /artifacts/{artifact_ref}/unshare': {
    readonly params: { readonly artifact_ref: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: Artifact;
  };
  /** Events of an artifact and its blobs, newest first. */
  'GET /artifacts/{artifact_ref}/events': {
    readonly params: { readonly artifact_ref: string };
    readonly body: {
      /** audit, mutate, status, usage, resources, prune or historic. */
      readonly event_type?: string | null;
      /** How many at most; negative: all. */
      readonly limit?: number;
    };
    readonly answer: readonly Event[];
  };
  /** Begin an upload: send its bytes next. */
  'POST /upload': {
    readonly params: Readonly<Record<never, string>>;
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: Upload;
  };
  /** Append the bytes of the body, or write them at `offset`; answers how many there are then. */
  'POST /upload/{upload_uuid}': {
    readonly params: { readonly upload_uuid: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: number;
  };
  /** Cut an upload off, or fill it up with zeros. */
  'POST /upload/{upload_uuid}/truncate/{offset}': {
    readonly params: { readonly upload_uuid: string; readonly offset: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: null;
  };
  /** Point a label at a blob: a new version of it. */
  'POST /label/{label_name}': {
    readonly params: { readonly label_name: string };
    readonly body: {
      /** UUID of a blob. */
      readonly blob_uuid?: string;
      /** How many versions are kept. */
      readonly max_versions?: number | null;
    };
    readonly answer: Artifact;
  };
  /** Point a label at a blob: a new version of it. */
  'PUT /label/{label_name}': {
    readonly params: { readonly label_name: string };
    readonly body: {
      /** UUID of a blob. */
      readonly blob_uuid?: string;
      /** How many versions are kept. */
      readonly max_versions?: number | null;
    };
    readonly answer: Artifact;
  };
  /** One label. */
  'GET /label/{label_name}': {
    readonly params: { readonly label_name: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: Artifact;
  };
  /** Delete a label; the blobs it pointed at may stay. */
  'DELETE /label/{label_name}': {
    readonly params: { readonly label_name: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: Artifact;
  };
  /** Point a label at a blob: a new version of it. */
  'POST /label/{label_namespace}/{label_name}': {
    readonly params: { readonly label_namespace: string; readonly label_name: string };
    readonly body: {
      /** UUID of a blob. */
      readonly blob_uuid?: string;
      /** How many versions are kept. */
      readonly max_versions?: number | null;
    };
    readonly answer: Artifact;
  };
  /** Point a label at a blob: a new version of it. */
  'PUT /label/{label_namespace}/{label_name}': {
    readonly params: { readonly label_namespace: string; readonly label_name: string };
    readonly body: {
      /** UUID of a blob. */
      readonly blob_uuid?: string;
      /** How many versions are kept. */
      readonly max_versions?: number | null;
    };
    readonly answer: Artifact;
  };
  /** One label. */
  'GET /label/{label_namespace}/{label_name}': {
    readonly params: { readonly label_namespace: string; readonly label_name: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: Artifact;
  };
  /** Delete a label; the blobs it pointed at may stay. */
  'DELETE /label/{label_namespace}/{label_name}': {
    readonly params: { readonly label_namespace: string; readonly label_name: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: Artifact;
  };
  /** All blobs that are not deleted, if need be those that a node holds. */
  'GET /blobs': {
    readonly params: Readonly<Record<never, string>>;
    readonly body: {
      /** Name of a machine. */
      readonly node?: string | null;
    };
    readonly answer: readonly Blob[];
  };
  /** One blob, with the instances that use it. */
  'GET /blobs/{blob_uuid}': {
    readonly params: { readonly blob_uuid: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: Blob;
  };
  /** Events of a blob, newest first. */
  'GET /blobs/{blob_uuid}/events': {
    readonly params: { readonly blob_uuid: string };
    readonly body: {
      /** audit, mutate, status, usage, resources, prune or historic. */
      readonly event_type?: string | null;
      /** How many at most; negative: all. */
      readonly limit?: number;
    };
    readonly answer: readonly Event[];
  };
  /** The bytes of a blob; `offset` and `limit` in the address choose a part. */
  'GET /blobs/{blob_uuid}/data': {
    readonly params: { readonly blob_uuid: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: Uint8Array;
  };
  /** The blob that has this hash, or null. */
  'GET /blob_checksums/{algorithm}/{hash}': {
    readonly params: { readonly algorithm: string; readonly hash: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: Blob | null;
  };
  /** The machines of the cluster. */
  'GET /nodes': {
    readonly params: Readonly<Record<never, string>>;
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: readonly Node[];
  };
  /** One machine. */
  'GET /nodes/{node}': {
    readonly params: { readonly node: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: Node;
  };
  /** Take a machine that will not return out of the cluster, with all that was on it. */
  'DELETE /nodes/{node}': {
    readonly params: { readonly node: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: Node;
  };
  /** Events of a machine, newest first. */
  'GET /nodes/{node}/events': {
    readonly params: { readonly node: string };
    readonly body: {
      /** audit, mutate, status, usage, resources, prune or historic. */
      readonly event_type?: string | null;
      /** How many at most; negative: all. */
      readonly limit?: number;
    };
    readonly answer: readonly Event[];
  };
  /** Show the processor time of the processes of the service on a machine. */
  'GET /nodes/{node}/processmetrics': {
    readonly params: { readonly node: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: Readonly<Record<string, number>>;
  };
  /** Give a machine nothing new. */
  'POST /nodes/{node}/drain': {
    readonly params: { readonly node: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: Node;
  };
  /** Give a machine work again. */
  'POST /nodes/{node}/undrain': {
    readonly params: { readonly node: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: Node;
  };
  /** The authority that signed the certificates of SPICE consoles, PEM. */
  'GET /admin/cacert': {
    readonly params: Readonly<Record<never, string>>;
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: Uint8Array;
  };
  /** Show which daemon decides for what, what it is doing, and who waits for it. */
  'GET /admin/locks': {
    readonly params: Readonly<Record<never, string>>;
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: Readonly<
      Record<
        string,
        {
          readonly node: string;
          readonly pid: number;
          readonly operation: string;
          readonly line: string;
          readonly id: string;
        }
      >
    >;
  };
  /** Sign tokens with another secret from now on; at once: every token there is ends. */
  'POST /admin/rotatetokensecret': {
    readonly params: Readonly<Record<never, string>>;
    readonly body: {
      readonly at_once?: boolean | null;
    };
    readonly answer: null;
  };
  /** Show what the hypervisors of the cluster have left for instances. */
  'GET /admin/resources': {
    readonly params: Readonly<Record<never, string>>;
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: {
      readonly total: {
        readonly cpu_available: number;
        readonly ram_available: number;
      };
      readonly per_node: Readonly<
        Record<
          string,
          {
            readonly cpu_max_per_instance: number;
            readonly cpu_available: number;
            readonly cpu_load_1: number;
            readonly cpu_load_5: number;
            readonly cpu_load_15: number;
            readonly ram_max_per_instance: number;
            readonly ram_max: number;
            readonly ram_available: number;
            readonly disk_available: number;
            readonly instances_total: number;
            readonly instances_active: number;
          }
        >
      >;
    };
  };
  /** Metadata of an instance. */
  'GET /instances/{instance_ref}/metadata': {
    readonly params: { readonly instance_ref: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: Metadata;
  };
  /** Set a pair of an instance's metadata. */
  'POST /instances/{instance_ref}/metadata': {
    readonly params: { readonly instance_ref: string };
    readonly body: {
      /** Key of the pair. */
      readonly key?: string;
      /** Any JSON value that is not empty. */
      readonly value?: unknown;
    };
    readonly answer: null;
  };
  /** Set a pair of an instance's metadata. */
  'PUT /instances/{instance_ref}/metadata/{key}': {
    readonly params: { readonly instance_ref: string; readonly key: string };
    readonly body: {
      /** Any JSON value that is not empty. */
      readonly value?: unknown;
    };
    readonly answer: null;
  };
  /** Remove a pair of an instance's metadata. */
  'DELETE /instances/{instance_ref}/metadata/{key}': {
    readonly params: { readonly instance_ref: string; readonly key: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: null;
  };
  /** Metadata of a network. */
  'GET /networks/{network_ref}/metadata': {
    readonly params: { readonly network_ref: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: Metadata;
  };
  /** Set a pair of a network's metadata. */
  'POST /networks/{network_ref}/metadata': {
    readonly params: { readonly network_ref: string };
    readonly body: {
      /** Key of the pair. */
      readonly key?: string;
      /** Any JSON value that is not empty. */
      readonly value?: unknown;
    };
    readonly answer: null;
  };
  /** Set a pair of a network's metadata. */
  'PUT /networks/{network_ref}/metadata/{key}': {
    readonly params: { readonly network_ref: string; readonly key: string };
    readonly body: {
      /** Any JSON value that is not empty. */
      readonly value?: unknown;
    };
    readonly answer: null;
  };
  /** Remove a pair of a network's metadata. */
  'DELETE /networks/{network_ref}/metadata/{key}': {
    readonly params: { readonly network_ref: string; readonly key: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: null;
  };
  /** Metadata of an interface. */
  'GET /interfaces/{interface_uuid}/metadata': {
    readonly params: { readonly interface_uuid: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: Metadata;
  };
  /** Set a pair of an interface's metadata. */
  'POST /interfaces/{interface_uuid}/metadata': {
    readonly params: { readonly interface_uuid: string };
    readonly body: {
      /** Key of the pair. */
      readonly key?: string;
      /** Any JSON value that is not empty. */
      readonly value?: unknown;
    };
    readonly answer: null;
  };
  /** Set a pair of an interface's metadata. */
  'PUT /interfaces/{interface_uuid}/metadata/{key}': {
    readonly params: { readonly interface_uuid: string; readonly key: string };
    readonly body: {
      /** Any JSON value that is not empty. */
      readonly value?: unknown;
    };
    readonly answer: null;
  };
  /** Remove a pair of an interface's metadata. */
  'DELETE /interfaces/{interface_uuid}/metadata/{key}': {
    readonly params: { readonly interface_uuid: string; readonly key: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: null;
  };
  /** Metadata of a machine. */
  'GET /nodes/{node}/metadata': {
    readonly params: { readonly node: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: Metadata;
  };
  /** Set a pair of a machine's metadata. */
  'POST /nodes/{node}/metadata': {
    readonly params: { readonly node: string };
    readonly body: {
      /** Key of the pair. */
      readonly key?: string;
      /** Any JSON value that is not empty. */
      readonly value?: unknown;
    };
    readonly answer: null;
  };
  /** Set a pair of a machine's metadata. */
  'PUT /nodes/{node}/metadata/{key}': {
    readonly params: { readonly node: string; readonly key: string };
    readonly body: {
      /** Any JSON value that is not empty. */
      readonly value?: unknown;
    };
    readonly answer: null;
  };
  /** Remove a pair of a machine's metadata. */
  'DELETE /nodes/{node}/metadata/{key}': {
    readonly params: { readonly node: string; readonly key: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: null;
  };
  /** Metadata of an artifact. */
  'GET /artifacts/{artifact_ref}/metadata': {
    readonly params: { readonly artifact_ref: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: Metadata;
  };
  /** Set a pair of an artifact's metadata. */
  'POST /artifacts/{artifact_ref}/metadata': {
    readonly params: { readonly artifact_ref: string };
    readonly body: {
      /** Key of the pair. */
      readonly key?: string;
      /** Any JSON value that is not empty. */
      readonly value?: unknown;
    };
    readonly answer: null;
  };
  /** Set a pair of an artifact's metadata. */
  'PUT /artifacts/{artifact_ref}/metadata/{key}': {
    readonly params: { readonly artifact_ref: string; readonly key: string };
    readonly body: {
      /** Any JSON value that is not empty. */
      readonly value?: unknown;
    };
    readonly answer: null;
  };
  /** Remove a pair of an artifact's metadata. */
  'DELETE /artifacts/{artifact_ref}/metadata/{key}': {
    readonly params: { readonly artifact_ref: string; readonly key: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: null;
  };
  /** Metadata of a blob. */
  'GET /blobs/{blob_uuid}/metadata': {
    readonly params: { readonly blob_uuid: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: Metadata;
  };
  /** Set a pair of a blob's metadata. */
  'POST /blobs/{blob_uuid}/metadata': {
    readonly params: { readonly blob_uuid: string };
    readonly body: {
      /** Key of the pair. */
      readonly key?: string;
      /** Any JSON value that is not empty. */
      readonly value?: unknown;
    };
    readonly answer: null;
  };
  /** Set a pair of a blob's metadata. */
  'PUT /blobs/{blob_uuid}/metadata/{key}': {
    readonly params: { readonly blob_uuid: string; readonly key: string };
    readonly body: {
      /** Any JSON value that is not empty. */
      readonly value?: unknown;
    };
    readonly answer: null;
  };
  /** Remove a pair of a blob's metadata. */
  'DELETE /blobs/{blob_uuid}/metadata/{key}': {
    readonly params: { readonly blob_uuid: string; readonly key: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: null;
  };
  /** Metadata of a namespace. */
  'GET /auth/namespaces/{namespace}/metadata': {
    readonly params: { readonly namespace: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: Metadata;
  };
  /** Set a pair of a namespace's metadata. */
  'POST /auth/namespaces/{namespace}/metadata': {
    readonly params: { readonly namespace: string };
    readonly body: {
      /** Key of the pair. */
      readonly key?: string;
      /** Any JSON value that is not empty. */
      readonly value?: unknown;
    };
    readonly answer: null;
  };
  /** Set a pair of a namespace's metadata. */
  'PUT /auth/namespaces/{namespace}/metadata/{key}': {
    readonly params: { readonly namespace: string; readonly key: string };
    readonly body: {
      /** Any JSON value that is not empty. */
      readonly value?: unknown;
    };
    readonly answer: null;
  };
  /** Remove a pair of a namespace's metadata. */
  'DELETE /auth/namespaces/{namespace}/metadata/{key}': {
    readonly params: { readonly namespace: string; readonly key: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: null;
  };
  /** Objects past their deadline. */
  'GET /stuck': {
    readonly params: Readonly<Record<never, string>>;
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: unknown;
  };
  /** What an object's actor is doing, and what it waits for. */
  'GET /actors/{ref}': {
    readonly params: { readonly ref: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: unknown;
  };
  /** Call off an object's passing state. */
  'POST /actors/{kind}/{id}/cancel': {
    readonly params: { readonly kind: string; readonly id: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: null;
  };
  /** A ticket that opens one WebSocket once, for those who cannot send a header. */
  'POST /tickets': {
    readonly params: Readonly<Record<never, string>>;
    readonly body: {
      readonly purpose?: 'stream' | 'console' | 'vdi';
      readonly instance?: string | null;
      readonly origin?: string | null;
    };
    readonly answer: {
      readonly ticket: string;
      readonly expires_in: number;
      readonly path: string;
    };
  };
  /** What an object was at a store revision or time, or is now; removed ones too. */
  'GET /history/{kind}/{ref}': {
    readonly params: { readonly kind: string; readonly ref: string };
    readonly body: {
      readonly revision?: number | null;
      readonly time?: number | string | null;
    };
    readonly answer: {
      readonly kind: string;
      readonly id: string;
      readonly namespace: string;
      readonly revision: number;
      readonly time: number;
      readonly 'request-id': string;
      readonly state: Readonly<Record<string, unknown>> | null;
    };
  };
  /** What changed on an object between two store revisions or times. */
  'GET /history/{kind}/{ref}/diff': {
    readonly params: { readonly kind: string; readonly ref: string };
    readonly body: {
      readonly from_revision?: number | null;
      readonly from_time?: number | string | null;
      readonly to_revision?: number | null;
      readonly to_time?: number | string | null;
    };
    readonly answer: {
      readonly kind: string;
      readonly id: string;
      readonly namespace: string;
      readonly from: {
        readonly revision: number;
        readonly time: number;
        readonly 'request-id': string;
      };
      readonly to: {
        readonly revision: number;
        readonly time: number;
        readonly 'request-id': string;
      };
      readonly changes: readonly {
        readonly path: string;
        readonly before: unknown;
        readonly after: unknown;
      }[];
    };
  };
  /** Which requests made an object what it is, and what followed from them. */
  'GET /history/{kind}/{ref}/why': {
    readonly params: { readonly kind: string; readonly ref: string };
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: {
      readonly kind: string;
      readonly id: string;
      readonly namespace: string;
      readonly revision: number;
      readonly time: number;
      readonly 'request-id': string;
      readonly causes: readonly {
        readonly revision: number;
        readonly time: number;
        readonly 'request-id': string;
        readonly members: readonly string[];
        readonly events: readonly {
          readonly timestamp: number;
          readonly type: string | null;
          readonly fqdn: string | null;
          readonly duration: number | null;
          readonly message: string;
          readonly extra: Readonly<Record<string, unknown>> | null;
          readonly kind: string;
          readonly id: string;
        }[];
      }[];
      readonly older: readonly string[];
    };
  };
  /** This description of the API, as an OpenAPI 3.1 document. */
  'GET /openapi.json': {
    readonly params: Readonly<Record<never, string>>;
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: {
      readonly openapi: string;
      readonly info: unknown;
      readonly paths: Readonly<Record<string, unknown>>;
      readonly components: unknown;
    };
  };
  /** The same description, at the address of old. */
  'GET /apispec_1.json': {
    readonly params: Readonly<Record<never, string>>;
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: {
      readonly openapi: string;
      readonly info: unknown;
      readonly paths: Readonly<Record<string, unknown>>;
      readonly components: unknown;
    };
  };
  /** The API browser: this description to read and to try. */
  'GET /apidocs/': {
    readonly params: Readonly<Record<never, string>>;
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: Uint8Array;
  };
  /** Script of the API browser. */
  'GET /apidocs/browser.js': {
    readonly params: Readonly<Record<never, string>>;
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: Uint8Array;
  };
  /** Style of the API browser. */
  'GET /apidocs/style.css': {
    readonly params: Readonly<Record<never, string>>;
    readonly body: Readonly<Record<never, unknown>>;
    readonly answer: Uint8Array;
  };
}
