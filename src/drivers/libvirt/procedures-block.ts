// Procedures on a running domain's disks. A disk is named by its target (`vda`) or source path.
// Layouts: remote_protocol of libvirt 9.0.
import { remote } from './procedure.ts';
import { domain, nullableText, text, typedParams } from './wire.ts';
import { i32, struct, u32, u64 } from './xdr.ts';

const COPY_PARAMS_MAX = 16;

export const blockProcedures = {
  domainBlockResize: remote(
    'domain_block_resize',
    251,
    struct({ domain, disk: text, size: u64, flags: u32 }),
  ),
  domainBlockCopy: remote(
    'domain_block_copy',
    345,
    struct({
      domain,
      disk: text,
      destinationXml: text,
      params: typedParams(COPY_PARAMS_MAX),
      flags: u32,
    }),
  ),
  domainBlockCommit: remote(
    'domain_block_commit',
    290,
    struct({
      domain,
      disk: text,
      base: nullableText,
      top: nullableText,
      bandwidth: u64,
      flags: u32,
    }),
  ),
  domainBlockPull: remote(
    'domain_block_pull',
    240,
    struct({ domain, disk: text, bandwidth: u64, flags: u32 }),
  ),
  domainBlockJobAbort: remote(
    'domain_block_job_abort',
    237,
    struct({ domain, disk: text, flags: u32 }),
  ),
  domainGetBlockJobInfo: remote(
    'domain_get_block_job_info',
    238,
    struct({ domain, disk: text, flags: u32 }),
    struct({ found: i32, type: i32, bandwidth: u64, current: u64, end: u64 }),
  ),
} as const;
