// A guest that boots from a thin snapshot: libvirt and QEMU read it through the blobs that it depends on.
import { join, resolve } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { DomainSpec } from '../../../actors/instance/ports.ts';
import { makeRig, scratch, tool, wantedBy as imageWantedBy, type Rig } from '../image/rig.ts';
import { boots, copiesOf, until, wantedBy } from './lab.ts';
import { LibvirtLab } from './libvirt-lab.ts';

const test = suite('hypervisor over libvirt: thin snapshots');
const never = new AbortController().signal;
let lab: LibvirtLab;
let rig: Rig;
let generation = 0;

test.before(async () => {
  lab = await LibvirtLab.open();
  rig = await makeRig(join(scratch(), 'images'));
  await rig.ensure('base', join(lab.folder, 'guest.raw'));
});
test.after(async () => {
  await rig.close();
  await lab.close();
});

/** Boots a guest whose disk starts from the blob. */
async function guestOn(baseBlobId: string): Promise<DomainSpec> {
  const spec = await lab.newSpec();
  const { instanceId } = spec;
  const disk = { instanceId, device: 'vda', baseBlobId, sizeGiB: null };
  const { path } = await rig.driver.ensureDisk(disk, imageWantedBy(`instance/${instanceId}`));
  const disks = spec.disks.map((one) => ({ ...one, path, format: 'qcow2' as const }));
  const made = { ...spec, disks };
  await lab.hypervisor.ensureDomain(made, wantedBy(instanceId, ++generation));
  await until('it boots', async () => (await boots(lab, instanceId)) === 1);
  return made;
}

/** Of the running guest. */
async function snapshot({ instanceId, disks }: DomainSpec, dependsOn: string, blobId: string) {
  const { copier } = rig.driver;
  await copier.staged({ instanceId, blobIds: [blobId] }, never, async ([path = '']) => {
    const device = disks[0]?.device ?? '';
    await lab.hypervisor.copyDisks(copiesOf(instanceId, { [device]: path }));
    await copier.thin(path, dependsOn, blobId, { trace: 'trace-1', signal: never });
  });
  const source = { kind: 'spool', id: blobId, dependsOn } as const;
  return await rig.ensure(blobId, '/', { source });
}

test('of one that runs; the guest that starts from it boots, and so does one from a snapshot of that', async () => {
  const first = await guestOn('base');
  const { facts } = await snapshot(first, 'base', 'child');
  assert.ok((facts?.diskBytes ?? 0) < 524_288, 'all of the guest is in the base');
  const second = await guestOn('child');
  const xml = lab.libvirtd.virsh('dumpxml', second.instanceId);
  const { layout } = rig.driver;
  const chain = [...xml.matchAll(/<source file='([^']*)'/g)].map(([, path = '']) => resolve(path));
  assert.equal(chain, [
    layout.disk(second.instanceId, 'vda'),
    layout.replicaImage('child', 'qcow2'),
    layout.replicaImage('base', 'qcow2'),
  ]);
  await snapshot(second, 'child', 'grandchild');
  const third = await guestOn('grandchild');
  for (const { instanceId } of [first, second, third]) {
    await lab.hypervisor.removeDomain(instanceId, wantedBy(instanceId, ++generation));
  }
  assert.match(tool('qemu-img', 'check', layout.replicaImage('grandchild', 'qcow2')), /No errors/);
});

test.run();
