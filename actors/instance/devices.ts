// In which order an instance's disks and its config drive stand in the guest (contract: instances 3.1).
import { deviceName } from '../node/device-name.ts';
import { baseOf } from './wanted.ts';
import type { Disk, InstanceState } from './state.ts';

export interface Layout {
  readonly disks: readonly {
    readonly disk: Disk;
    readonly device: string;
    readonly position: number;
  }[];
  /** Null without a config drive; it is always second, on the first disk's bus. */
  readonly configDrive: { readonly device: string; readonly bus: Disk['bus'] } | null;
}

/** Where each disk goes, and what it is called there. */
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

/** What the disk is based on; null: it is blank, or there is no such disk. */
export function baseOfDevice(
  state: Pick<InstanceState, 'disks' | 'configDrive'>,
  device: string,
): string | null {
  const found = layoutDisks(state).disks.find((one) => one.device === device);
  return found === undefined ? null : baseOf(found.disk);
}
