// Which device name each disk gets in the guest (contract: instances 3.1, device naming).
import type { Disk, InstanceState } from './state.ts';

const PREFIX = { virtio: 'vd', sata: 'sd', scsi: 'sd', usb: 'sd', nvme: 'nvme' } as const;

export interface Layout {
  readonly disks: readonly {
    readonly disk: Disk;
    readonly device: string;
    readonly position: number;
  }[];
  /** Null without a config drive; it is always second, on the first disk's bus. */
  readonly configDrive: { readonly device: string; readonly bus: Disk['bus'] } | null;
}

/** The name at a position, shared across buses: `vda`, `sdc`, `nvme1`. */
export function deviceName(bus: Disk['bus'], position: number): string {
  const suffix = bus === 'nvme' ? String(position) : String.fromCharCode(97 + position);
  return `${PREFIX[bus]}${suffix}`;
}

export function layoutDisks(state: Pick<InstanceState, 'disks' | 'configDrive'>): Layout {
  const hasConfigDrive = state.configDrive === 'openstack-disk';
  const bus = state.disks[0]?.bus ?? 'virtio';
  return {
    disks: state.disks.map((disk, index) => {
      const position = hasConfigDrive && index > 0 ? index + 1 : index;
      return { disk, device: deviceName(disk.bus, position), position };
    }),
    configDrive: hasConfigDrive ? { device: deviceName(bus, 1), bus } : null,
  };
}
