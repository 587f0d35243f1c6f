// Procedures that copy the disks of a running domain as they are at one moment.
// Layouts: remote_protocol of libvirt 9.0.
import { remote } from './procedure.ts';
import { domain, nullableText, text, typedParams } from './wire.ts';
import { i32, struct, u32 } from './xdr.ts';

const JOB_STATS_MAX = 64;

export const backupProcedures = {
  domainBackupBegin: remote(
    'domain_backup_begin',
    421,
    struct({ domain, backupXml: text, checkpointXml: nullableText, flags: u32 }),
  ),
  domainGetJobStats: remote(
    'domain_get_job_stats',
    298,
    struct({ domain, flags: u32 }),
    struct({ type: i32, params: typedParams(JOB_STATS_MAX) }),
  ),
  domainAbortJob: remote('domain_abort_job', 164, struct({ domain })),
} as const;
