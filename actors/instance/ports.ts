// What an instance needs of the machine it is on; src/drivers/hypervisor implements it over libvirt.
//
// H1  ensureDomain() converges to the wanted power state and definition; repeated, it changes nothing. A
//     running guest is never stopped to apply a changed definition: that waits for the next power on.
// H2  A guest that powered itself off stays off: it is started once per `powerOns`, and after that only
//     when it vanished without its own doing (host reboot, killed QEMU).
// H3  QEMU never starts without holding its own lock on the disks.
import type { WantedBy } from '../network/ports.ts';
import type { GuestAgent } from './guest-agent.ts';
import type { AgentSeen } from './state.ts';

export type Power = 'on' | 'off' | 'paused';

export interface DomainDisk {
  /** `vda`, `sdb`, `nvme0` … */
  readonly device: string;
  readonly path: string;
  readonly format: 'qcow2' | 'raw';
  readonly media: 'disk' | 'cdrom';
  readonly bus: 'virtio' | 'sata' | 'scsi' | 'usb' | 'nvme';
  readonly readonly: boolean;
}

export interface DomainNic {
  readonly tap: string;
  readonly mac: string;
  readonly model: string;
  readonly mtu: number;
}

export interface DomainSpec {
  readonly instanceId: string;
  readonly name: string;
  readonly namespace: string;
  readonly cpus: number;
  readonly memoryMiB: number;
  readonly uefi: boolean;
  readonly secureBoot: boolean;
  /** File that the UEFI variables of a new domain are copied from; none: the firmware's own. */
  readonly nvramTemplate?: string;
  readonly disks: readonly DomainDisk[];
  readonly nics: readonly DomainNic[];
  readonly sideChannels: readonly string[];
  readonly video: { readonly model: string; readonly memoryKiB: number; readonly vdi: string };
  readonly power: Power;
  /** How often power on was asked for; see H2. */
  readonly powerOns: number;
  /** How often each reboot was asked for: one more than last time means do it once. */
  readonly hardReboots: number;
  readonly softReboots: number;
}

export interface DomainReport {
  readonly power: Power | 'crashed';
  /** Why it is off, when it is: by the guest itself, on request, or lost (QEMU died, host rebooted). */
  readonly offReason: 'guest' | 'requested' | 'lost' | null;
  /** TCP ports on this machine; null while off. */
  readonly consolePort: number | null;
  readonly vdiPort: number | null;
  readonly vdiTlsPort: number | null;
  /** 'kvm' or 'tcg'. */
  readonly accelerator: 'kvm' | 'tcg';
  /** Null, or left out: no agent is expected, or the guest does not run. */
  readonly agent?: AgentSeen | null;
}

/** What this machine can run, as probed. */
export interface HypervisorCapabilities {
  readonly accelerator: 'kvm' | 'tcg';
  readonly cpuModel: string;
  /** One sentence when the machine runs slower than it could: shown to the operator. */
  readonly warning: string | null;
  readonly libvirtVersion: string;
  readonly qemuVersion: string;
}

export interface Hypervisor {
  /** Errors: `hypervisor/unavailable` (libvirt does not answer), `hypervisor/refused` (with its own words). */
  ensureDomain(spec: DomainSpec, by: WantedBy): Promise<DomainReport>;
  /** Stops it at once, undefines it with its NVRAM. Quiet when there is none. */
  removeDomain(instanceId: string, by: WantedBy): Promise<void>;
  /** Ids of Troupe's own domains that are defined here (others are never touched). */
  domains(): Promise<readonly string[]>;
  /** Called whenever a domain changed by itself (libvirt events), and for every domain after a reconnect. */
  onChange(listener: (instanceId: string, report: DomainReport) => void): () => void;
  /** Looks at the domains that are meant and tells of them as after a reconnect: what happened while no daemon ran is news. */
  lookAgain(isMeant: (instanceId: string) => boolean): void;
  /** The last `lengthBytes` of the serial log since it was cleared; negative: all of it. Empty when there is none. */
  readConsole(instanceId: string, lengthBytes: number): Promise<Uint8Array>;
  clearConsole(instanceId: string): Promise<void>;
  /** The screen of a running guest. Error: `object/wrong-phase` when it does not run. */
  screenshot(instanceId: string): Promise<Screenshot>;
  /** The agent that answers in the guest now. Error: `guest/lost` when there is none. */
  agentOf(instanceId: string): GuestAgent;
  /**
   * Copies disks, all as they are at one moment, while the guest runs on; frozen by its agent at that moment, if it has one.
   * Errors: `object/not-ready` when the guest went off meanwhile: what was copied is worth nothing, come again.
   */
  copyDisks(copies: DiskCopies): Promise<void>;
}

/** Files that are to be made of an instance's disks. */
export interface DiskCopies {
  readonly instanceId: string;
  /** Qcow2 files that hold all of the disk; they must not be there yet. */
  readonly disks: readonly { readonly device: string; readonly path: string }[];
  /** Where its UEFI variables go; null: nowhere. */
  readonly nvram: string | null;
  /** Makes the files of the disks of a guest that is off, and stays off meanwhile. */
  readonly whileOff: () => Promise<void>;
  readonly onProgress: (doneBytes: number, totalBytes: number) => void;
  /** Address of who wants it. */
  readonly owner: string;
  readonly trace: string;
  readonly signal: AbortSignal;
}

export interface Screenshot {
  /** `image/png` or `image/x-portable-pixmap`, as QEMU made it. */
  readonly mime: string;
  readonly image: Uint8Array;
}
