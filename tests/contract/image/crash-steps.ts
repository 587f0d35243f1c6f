// The work that is interrupted: a packed raw image becomes a blob, a disk on it, and a config drive.
import type { DiskReport, ReplicaReport } from '../../../actors/blob/ports.ts';
import { wantedBy, type Rig } from './rig.ts';

export interface Made {
  readonly blob: ReplicaReport;
  readonly disk: DiskReport;
  readonly drive: DiskReport;
}

export async function makeDisks(rig: Rig, image: string, trace: string): Promise<Made> {
  const blob = await rig.ensure('b', image, {}, { ...wantedBy('blob/b'), trace });
  const by = { ...wantedBy('instance/i'), trace };
  const spec = { instanceId: 'i', device: 'vda', baseBlobId: 'b', sizeGiB: 1 };
  const disk = await rig.driver.ensureDisk(spec, by);
  const files = { 'openstack/latest/meta_data.json': '{}' };
  return { blob, disk, drive: await rig.driver.ensureConfigDrive('i', files, by) };
}
