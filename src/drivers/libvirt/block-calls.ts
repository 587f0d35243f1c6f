// What can be done with the disks of a running domain. A disk is named by its target, such as `vda`.
import type { CallOptions } from './call-table.ts';
import type { Caller } from './link.ts';
import { blockJobType, type BlockJobType } from './names.ts';
import { PROCEDURES } from './procedures.ts';
import type { DomainRef, TypedParam } from './wire.ts';

const RESIZE_BYTES = 1;
const COPY = { shallow: 1, reuseExternal: 2, transientJob: 4 } as const;
const COMMIT_SHALLOW = 1;
const COMMIT_ACTIVE = 4;
const COMMIT_BANDWIDTH_BYTES = 16;
const PULL_BANDWIDTH_BYTES = 64;
const ABORT = { cancel: 0, pivot: 2 } as const;
const INFO_BANDWIDTH_BYTES = 1;

/** One disk of one running domain. */
export interface DiskRef {
  readonly domain: DomainRef;
  readonly disk: string;
}

/** How far a block job is; `current` = `end` does not say yet that a copy or active commit may pivot: the event `ready` does. */
export interface BlockJob {
  readonly type: BlockJobType;
  /** 0: not limited. */
  readonly bandwidthBytesPerS: bigint;
  readonly current: bigint;
  readonly end: bigint;
}

export class BlockCalls {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  /** Grows the disk that the guest sees. */
  async resize({ domain, disk }: DiskRef, sizeBytes: bigint, options?: CallOptions): Promise<void> {
    const args = { domain, disk, size: sizeBytes, flags: RESIZE_BYTES };
    await this.#caller.call(PROCEDURES.domainBlockResize, args, options);
  }

  /**
   * Starts mirroring a disk to the file in `destinationXml` (diskDestinationXml() makes it). Runs until
   * endJob(). `transientJob` allows it on a domain that is defined.
   */
  async copy(
    { domain, disk }: DiskRef,
    about: {
      destinationXml: string;
      shallow?: boolean;
      reuseExternal?: boolean;
      transientJob?: boolean;
      bandwidthBytesPerS?: bigint;
    },
    options?: CallOptions,
  ): Promise<void> {
    const { destinationXml, bandwidthBytesPerS } = about;
    const params: TypedParam[] =
      bandwidthBytesPerS === undefined
        ? []
        : [{ field: 'bandwidth', type: 'ullong', value: bandwidthBytesPerS }];
    let flags = about.shallow === true ? COPY.shallow : 0;
    if (about.reuseExternal === true) flags |= COPY.reuseExternal;
    if (about.transientJob === true) flags |= COPY.transientJob;
    const args = { domain, disk, destinationXml, params, flags };
    await this.#caller.call(PROCEDURES.domainBlockCopy, args, options);
  }

  /** Starts merging layers downwards: `top` (the active one if left out) into `base` (the next). */
  async commit(
    { domain, disk }: DiskRef,
    about: { base?: string; top?: string; bandwidthBytesPerS?: bigint } = {},
    options?: CallOptions,
  ): Promise<void> {
    const { base = null, top = null, bandwidthBytesPerS = 0n } = about;
    let flags = COMMIT_BANDWIDTH_BYTES;
    if (top === null) flags |= COMMIT_ACTIVE;
    if (base === null) flags |= COMMIT_SHALLOW;
    const args = { domain, disk, base, top, bandwidth: bandwidthBytesPerS, flags };
    await this.#caller.call(PROCEDURES.domainBlockCommit, args, options);
  }

  /** Starts pulling the layers below into the active one, which then depends on none. */
  async pull(
    { domain, disk }: DiskRef,
    about: { bandwidthBytesPerS?: bigint } = {},
    options?: CallOptions,
  ): Promise<void> {
    const { bandwidthBytesPerS = 0n } = about;
    const args = { domain, disk, bandwidth: bandwidthBytesPerS, flags: PULL_BANDWIDTH_BYTES };
    await this.#caller.call(PROCEDURES.domainBlockPull, args, options);
  }

  /** Ends a job: `cancel` leaves the disk as it was, `pivot` goes over to the copy or base. */
  async endJob(
    { domain, disk }: DiskRef,
    how: 'cancel' | 'pivot',
    options?: CallOptions,
  ): Promise<void> {
    const args = { domain, disk, flags: ABORT[how] };
    await this.#caller.call(PROCEDURES.domainBlockJobAbort, args, options);
  }

  /** The job that runs on a disk, or undefined. */
  async job({ domain, disk }: DiskRef, options?: CallOptions): Promise<BlockJob | undefined> {
    const args = { domain, disk, flags: INFO_BANDWIDTH_BYTES };
    const reply = await this.#caller.call(PROCEDURES.domainGetBlockJobInfo, args, options);
    if (reply.found === 0) return undefined;
    const { type, bandwidth, current, end } = reply;
    return { type: blockJobType(type), bandwidthBytesPerS: bandwidth, current, end };
  }
}
