// Copies of a running domain's disks, all as they are at one moment: libvirt's backup job, in push mode.
//
// K1  One job at a time per domain; QEMU ends it when the domain stops, and it is lost with QEMU.
// K2  The job is libvirt's, not the connection's: it goes on when we go, and is there to be aborted when we are back.
import type { CallOptions } from './call-table.ts';
import { isLibvirtError } from './errors.ts';
import type { Caller } from './link.ts';
import { PROCEDURES } from './procedures.ts';
import type { DomainRef, TypedParam } from './wire.ts';
import { element, renderXml } from './xml.ts';

const STATS = { completed: 1, keepCompleted: 2 } as const;
/** virDomainJobType, in order. */
const JOB_TYPES = ['none', 'bounded', 'unbounded', 'completed', 'failed', 'cancelled'] as const;
/** virDomainJobOperation. */
const OPERATION_BACKUP = 9;

export interface DiskBackup {
  /** Target of the disk, such as `vda`. */
  readonly disk: string;
  /** A qcow2 that libvirt makes; QEMU has to be able to write there. */
  readonly path: string;
}

/** A job of the domain, whatever it is for. */
export interface DomainJob {
  readonly type: (typeof JOB_TYPES)[number] | 'unknown';
  readonly isBackup: boolean;
  readonly doneBytes: number;
  readonly totalBytes: number;
  /** Of one that failed; empty when libvirt does not say. */
  readonly message: string;
}

export class BackupCalls {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  /** Starts copying; done when the moment is fixed. Disks that are not named are left out. */
  async begin(
    domain: DomainRef,
    disks: readonly DiskBackup[],
    options?: CallOptions,
  ): Promise<void> {
    const args = { domain, backupXml: backupXml(disks), checkpointXml: null, flags: 0 };
    await this.#caller.call(PROCEDURES.domainBackupBegin, args, options);
  }

  /** The job that runs now; undefined: there is none. */
  async job(domain: DomainRef, options?: CallOptions): Promise<DomainJob | undefined> {
    const job = await this.#stats(domain, 0, options);
    return job.type === 'none' ? undefined : job;
  }

  /** How the last one ended; undefined: none has, or it is not remembered. */
  async lastJob(domain: DomainRef, options?: CallOptions): Promise<DomainJob | undefined> {
    try {
      const job = await this.#stats(domain, STATS.completed | STATS.keepCompleted, options);
      return job.type === 'none' ? undefined : job;
    } catch (error) {
      if (isLibvirtError(error, 'operation-invalid')) return undefined;
      throw error;
    }
  }

  /** Calls the job off. Quiet when there is none. */
  async abort(domain: DomainRef, options?: CallOptions): Promise<void> {
    try {
      await this.#caller.call(PROCEDURES.domainAbortJob, { domain }, options);
    } catch (error) {
      if (!isLibvirtError(error, 'operation-invalid')) throw error;
    }
  }

  async #stats(domain: DomainRef, flags: number, options?: CallOptions): Promise<DomainJob> {
    const reply = await this.#caller.call(PROCEDURES.domainGetJobStats, { domain, flags }, options);
    return toJob(reply.type, reply.params);
  }
}

function toJob(type: number, params: readonly TypedParam[]): DomainJob {
  const values = new Map(params.map(({ field, value }) => [field, value]));
  return {
    type: JOB_TYPES[type] ?? 'unknown',
    isBackup: values.get('operation') === OPERATION_BACKUP,
    doneBytes: Number(values.get('disk_processed') ?? 0),
    totalBytes: Number(values.get('disk_total') ?? 0),
    message: String(values.get('errmsg') ?? ''),
  };
}

function backupXml(disks: readonly DiskBackup[]): string {
  const rows = disks.map(({ disk, path }) => {
    const target = element('target', { file: path });
    const driver = element('driver', { type: 'qcow2' });
    return element('disk', { name: disk, backup: 'yes', type: 'file' }, target, driver);
  });
  return renderXml(element('domainbackup', { mode: 'push' }, element('disks', {}, ...rows)));
}
