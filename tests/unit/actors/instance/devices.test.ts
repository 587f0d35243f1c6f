// Device names, by the contract's own examples (instances 3.1).
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { layoutDisks } from '../../../../actors/instance/devices.ts';
import type { Disk } from '../../../../actors/instance/state.ts';

const test = suite('devices');

const disk = (bus: Disk['bus']): Disk => {
  const base = { artifactId: null, blobId: null, transcodeId: null, isReady: true } as const;
  return { spec: {}, sizeGiB: 1, bus, media: 'disk', ...base };
};

test('positions are shared across buses, and the config drive is always second', () => {
  const rows: readonly (readonly [Disk['bus'][], boolean, string[], string | null])[] = [
    [['virtio'], true, ['vda'], 'vdb'],
    [['virtio', 'virtio'], true, ['vda', 'vdc'], 'vdb'],
    [['virtio', 'sata'], true, ['vda', 'sdc'], 'vdb'],
    [['virtio', 'virtio', 'usb'], true, ['vda', 'vdc', 'sdd'], 'vdb'],
    [['sata', 'virtio'], true, ['sda', 'vdc'], 'sdb'],
    [['nvme', 'nvme'], true, ['nvme0', 'nvme2'], 'nvme1'],
    [['scsi'], true, ['sda'], 'sdb'],
    [['virtio', 'virtio'], false, ['vda', 'vdb'], null],
    [['virtio', 'sata'], false, ['vda', 'sdb'], null],
    [['nvme', 'virtio'], false, ['nvme0', 'vdb'], null],
  ];
  for (const [buses, hasDrive, devices, drive] of rows) {
    const configDrive = hasDrive ? 'openstack-disk' : 'none';
    const layout = layoutDisks({ disks: buses.map(disk), configDrive });
    const name = `${buses.join()} ${configDrive}`;
    assert.equal(
      layout.disks.map(({ device }) => device),
      devices,
      name,
    );
    assert.is(layout.configDrive?.device ?? null, drive, name);
  }
});

test('no two devices of an instance have the same name', () => {
  const buses = ['virtio', 'sata', 'scsi', 'usb', 'nvme'] as const;
  for (const first of buses)
    for (const second of buses)
      for (const third of buses) {
        const disks = [disk(first), disk(second), disk(third)];
        const layout = layoutDisks({ disks, configDrive: 'openstack-disk' });
        const names = [...layout.disks.map(({ device }) => device), layout.configDrive?.device];
        assert.is(new Set(names).size, 4, names.join());
      }
});

test.run();
