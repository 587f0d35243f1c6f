// What a domain is made of, as data: the input of buildDomainXml() (domain-xml.ts).
// Only what an instance needs. Paths are absolute; sizes carry their unit in the name.

/** A whole domain. Everything optional that is left out is left out of the XML too. */
export interface DomainSpec {
  readonly name: string;
  /** Canonical lower-case UUID with dashes. */
  readonly uuid: string;
  readonly title?: string;
  /** Whose domain this is; kept by libvirt and read back by readDomainXml(). */
  readonly metadata?: DomainMetadata;
  /** `qemu` is TCG (emulation), `kvm` needs a /dev/kvm that works. */
  readonly type: 'kvm' | 'qemu';
  /** libvirt's own choice of binary when left out. */
  readonly emulator?: string;
  readonly arch?: 'x86_64' | 'aarch64';
  /** Machine type, an alias or a versioned name; `q35` when left out. */
  readonly machine?: string;
  readonly memoryMiB: number;
  readonly vcpus: number;
  readonly cpu?: CpuSpec;
  readonly firmware?: FirmwareSpec;
  /** Boots this kernel directly instead of a disk; for probes and tests. */
  readonly directKernel?: { kernel: string; initrd?: string; cmdline?: string };
  readonly disks?: readonly DiskSpec[];
  /**
   * Free PCIe slots for devices attached later. q35 takes devices at root ports only, and libvirt adds
   * no more of those than the definition needs (about one is left).
   */
  readonly hotplugPorts?: number;
  readonly interfaces?: readonly InterfaceSpec[];
  readonly serial?: SerialSpec;
  readonly graphics?: readonly GraphicsSpec[];
  /** An absolute pointer, so that a viewer's and the guest's agree. */
  readonly tablet?: boolean;
  /** The one video card; left out, libvirt adds one only when there are graphics. */
  readonly video?: VideoSpec;
  readonly channels?: readonly ChannelSpec[];
  /** Sound card, such as `ich6`. */
  readonly sound?: string;
  /** How many USB devices a SPICE viewer may pass through. */
  readonly usbRedirections?: number;
  /** A virtio RNG fed from the host's /dev/urandom. */
  readonly rng?: boolean;
  /** A virtio balloon. libvirt would add one by itself: it is told not to, unless true. */
  readonly balloon?: boolean;
  /** Tells a guest panic to libvirt (pvpanic on x86): a `crashed` lifecycle event. */
  readonly panicNotifier?: boolean;
  readonly onPoweroff?: 'destroy' | 'restart' | 'preserve';
  readonly onReboot?: 'destroy' | 'restart' | 'preserve';
  readonly onCrash?: 'destroy' | 'restart' | 'preserve';
  /** Extra words for QEMU's command line, after libvirt's own. */
  readonly qemuArguments?: readonly string[];
}

/**
 * The owner's mark on a domain, by names of the owner's choice (letters, digits, dashes): which object,
 * which wanted state, which request asked for it.
 */
export type DomainMetadata = Readonly<Record<string, string>>;

/** The CPU the guest sees. `check` is always `none`: the caller probed what works here. */
export type CpuSpec = { readonly disabledFeatures?: readonly string[] } & (
  | { readonly mode: 'host-passthrough' | 'host-model' | 'maximum' }
  | { readonly mode: 'custom'; readonly model: string }
);

/** BIOS is QEMU's default (SeaBIOS). UEFI needs a loader and a per-domain variable store. */
export type FirmwareSpec =
  | { readonly kind: 'bios' }
  | {
      readonly kind: 'uefi';
      /** The read-only code image, e.g. /usr/share/OVMF/OVMF_CODE_4M.fd. */
      readonly loader: string;
      /** This domain's variables; made from the template by libvirt when absent. */
      readonly nvram: string;
      readonly nvramTemplate: string;
      /** Needs a secure-boot build of the loader; turns SMM on. */
      readonly secureBoot?: boolean;
    };

export interface DiskSpec {
  readonly path: string;
  readonly format: 'qcow2' | 'raw';
  readonly device?: 'disk' | 'cdrom';
  readonly bus: 'virtio' | 'sata' | 'scsi' | 'usb' | 'nvme';
  /** Device name to libvirt (`vda`); counted from `a` per bus when left out. */
  readonly target?: string;
  readonly readonly?: boolean;
  /** 1 boots first. */
  readonly bootOrder?: number;
  /** What the guest sees as the disk's serial; 20 characters reach it. */
  readonly serial?: string;
  readonly cache?: 'none' | 'writeback' | 'writethrough' | 'unsafe' | 'directsync';
  readonly io?: 'native' | 'threads' | 'io_uring';
  readonly discard?: 'unmap' | 'ignore';
  /** The chain below, outermost first. Left out, QEMU follows the image's own header. `[]`: none. */
  readonly backing?: readonly { readonly path: string; readonly format: 'qcow2' | 'raw' }[];
}

/** A network card. `tap` takes an existing tap that somebody else owns and configures. */
export interface InterfaceSpec {
  readonly source:
    | { readonly kind: 'tap'; readonly device: string }
    | { readonly kind: 'bridge'; readonly bridge: string; readonly device?: string };
  readonly mac: string;
  /** `virtio` when left out; or e1000, e1000e, rtl8139, … */
  readonly model?: string;
  readonly mtu?: number;
  readonly bootOrder?: number;
}

/** The serial console. `log` is a file that QEMU appends to whoever is attached. */
export interface SerialSpec {
  readonly source:
    | { readonly kind: 'pty' }
    | { readonly kind: 'unix'; readonly path: string }
    | {
        readonly kind: 'tcp';
        readonly host: string;
        readonly port: number;
        /** `raw` when left out. */
        readonly protocol?: 'raw' | 'telnet';
      }
    | { readonly kind: 'file'; readonly path: string };
  readonly log?: string;
}

export interface VideoSpec {
  /** virtio, vga, cirrus, qxl, bochs, ramfb, … */
  readonly model: string;
  /** Video memory in KiB, for models that have it. */
  readonly vramKiB?: number;
}

/** VNC or SPICE; an automatic port when none is given, listening on loopback unless told. */
export type GraphicsSpec =
  | {
      readonly kind: 'vnc' | 'spice';
      readonly listen?: string;
      readonly port?: number;
      /** SPICE: where TLS is spoken; given, no channel is served without. */
      readonly tlsPort?: number;
      readonly password?: string;
    }
  | { readonly kind: 'vnc' | 'spice'; readonly socket: string };

/** A virtio-serial port: `org.qemu.guest_agent.0` for the agent, or a named side channel. */
export interface ChannelSpec {
  readonly name: string;
  /** Unix socket on which QEMU listens; libvirt's own place when left out (the agent needs that). */
  readonly socket?: string;
  /** The port is SPICE's own (com.redhat.spice.0) and has no socket. */
  readonly spiceAgent?: boolean;
}
