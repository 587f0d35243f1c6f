// Pins for procedures-backup.ts.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { PROCEDURES as P } from '../../../src/drivers/libvirt/procedures.ts';
import type { backupProcedures } from '../../../src/drivers/libvirt/procedures-backup.ts';
import { until } from '../../unit/drivers/libvirt/until.ts';
import { refusal, type Pins } from './pinning.ts';

/** One check per procedure, by its key in the table, in the order they are run. */
export const backupPins: Pins<typeof backupProcedures> = {
  async domainBackupBegin({ connection, daemon, running }) {
    const file = join(daemon.directory, 'backup.qcow2');
    const target = `<target file="${file}"/><driver type="qcow2"/>`;
    const disks = `<disks><disk name="vda" backup="yes" type="file">${target}</disk></disks>`;
    const backupXml = `<domainbackup mode="push">${disks}</domainbackup>`;
    const args = { domain: running, backupXml, checkpointXml: null, flags: 0 };
    await connection.call(P.domainBackupBegin, args);
    const isOver = async () =>
      (await connection.call(P.domainGetJobStats, { domain: running, flags: 0 })).type === 0;
    await until(isOver);
    const info = execFileSync('qemu-img', ['info', '--output=json', file], { encoding: 'utf8' });
    const { format, ...rest } = JSON.parse(info) as Record<string, unknown>;
    assert.is(format, 'qcow2');
    assert.is(rest['backing-filename'], undefined, 'the whole chain is copied');
  },
  async domainGetJobStats({ connection, running }) {
    const { type, params } = await connection.call(P.domainGetJobStats, {
      domain: running,
      flags: 1 | 2,
    });
    assert.is(type, 3, 'completed');
    const valueOf = (name: string) => params.find(({ field }) => field === name)?.value;
    assert.is(valueOf('operation'), 9, 'a backup');
    assert.is(valueOf('disk_total'), valueOf('disk_processed'));
  },
  async domainAbortJob({ connection, running }) {
    await refusal(connection.call(P.domainAbortJob, { domain: running }), 'operation-invalid', 55);
  },
};
