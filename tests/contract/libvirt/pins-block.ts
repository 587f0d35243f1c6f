// Pins for procedures-block.ts.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { Connection } from '../../../src/drivers/libvirt/connection.ts';
import { buildCopyDestinationXml } from '../../../src/drivers/libvirt/domain-device-xml.ts';
import { isLibvirtError } from '../../../src/drivers/libvirt/errors.ts';
import { PROCEDURES as P } from '../../../src/drivers/libvirt/procedures.ts';
import type { blockProcedures } from '../../../src/drivers/libvirt/procedures-block.ts';
import type { DomainRef } from '../../../src/drivers/libvirt/wire.ts';
import { until } from '../../unit/drivers/libvirt/until.ts';
import type { Pins } from './pinning.ts';

/** One check per procedure, by its key in the table, in the order they are run. */
export const blockPins: Pins<typeof blockProcedures> = {
  async domainBlockResize({ connection, daemon, running }) {
    const size = 16n * 1024n * 1024n;
    await connection.call(P.domainBlockResize, { domain: running, disk: 'vda', size, flags: 1 });
    const shown = daemon.virsh('domblkinfo', running.uuid, 'vda');
    assert.match(shown, new RegExp(`Capacity: +${size}`));
  },
  async domainBlockCopy({ connection, daemon, running }) {
    const file = join(daemon.directory, 'copy.qcow2');
    await connection.call(P.domainBlockCopy, {
      domain: running,
      disk: 'vda',
      destinationXml: buildCopyDestinationXml(file, 'qcow2'),
      params: [{ field: 'bandwidth', type: 'ullong', value: 1024n * 1024n }],
      flags: 4,
    });
    assert.ok(existsSync(file));
  },
  async domainGetBlockJobInfo({ connection, running }) {
    const about = { domain: running, disk: 'vda', flags: 1 };
    const job = await connection.call(P.domainGetBlockJobInfo, about);
    assert.is(job.found, 1);
    assert.is(job.type, 2);
    assert.is(job.bandwidth, 1024n * 1024n);
  },
  async domainBlockJobAbort({ connection, running }) {
    const about = { domain: running, disk: 'vda', flags: 0 };
    await connection.call(P.domainBlockJobAbort, about);
    const job = await connection.call(P.domainGetBlockJobInfo, about);
    assert.is(job.found, 0);
  },
  async domainBlockPull({ connection, daemon, running }) {
    const chain = () => daemon.virsh('dumpxml', running.uuid).includes('base.qcow2');
    assert.ok(chain());
    const args = { domain: running, disk: 'vda', bandwidth: 0n, flags: 64 };
    await connection.call(P.domainBlockPull, args);
    await until(() => !chain());
  },
  async domainBlockCommit({ connection, daemon, running }) {
    daemon.virsh('snapshot-create-as', running.uuid, 'top', '--disk-only', '--no-metadata');
    const shown = () => /vda.*/.exec(daemon.virsh('domblklist', running.uuid))?.[0] ?? '';
    assert.match(shown(), '.top');
    const disk = { domain: running, disk: 'vda' };
    const layers = { base: null, top: null, bandwidth: 0n };
    await connection.call(P.domainBlockCommit, { ...disk, ...layers, flags: 1 | 4 });
    const isReady = async () => {
      const { current, end } = await connection.call(P.domainGetBlockJobInfo, {
        ...disk,
        flags: 0,
      });
      return current === end;
    };
    await until(isReady);
    await until(() => pivots(connection, running));
    assert.not.match(shown(), '.top');
  },
};

/** A job that has just become ready may not be pivoted for another moment. */
async function pivots(connection: Connection, domain: DomainRef): Promise<boolean> {
  try {
    await connection.call(P.domainBlockJobAbort, { domain, disk: 'vda', flags: 2 });
    return true;
  } catch (error) {
    if (isLibvirtError(error, 'block-copy-active')) return false;
    throw error;
  }
}
