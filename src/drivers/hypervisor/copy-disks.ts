// Copies an instance's disks, all as they are at one moment, while its guest runs on.
//
// C1  In the ledger before anything is begun, out of it when nothing of it is left: a job that a killed daemon has begun is
//     ended by the next one, and a guest that was just frozen is thawed (endLeftCopies).
// C2  The instance's turn is held until the moment is fixed, and no longer; of a guest that is off, until its disks are
//     copied, so that nothing starts it meanwhile.
// C3  A guest is frozen for as long as it takes libvirt to begin, and thawed whatever came of that.
import { copyFile } from 'node:fs/promises';
import type { DiskCopies } from '../../../actors/instance/ports.ts';
import type { Clock } from '../../../actors/kernel/clock.ts';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import type { Log } from '../../../actors/kernel/ports.ts';
import type { Ledger } from '../ledger.ts';
import type { Libvirt } from '../libvirt/client.ts';
import { isLibvirtError } from '../libvirt/errors.ts';
import { domainRef, type DomainRef } from '../libvirt/wire.ts';
import { nvramFile } from './definition.ts';
import { domainName } from './domain-record.ts';
import { observe } from './observe.ts';

export interface CopyTools {
  readonly libvirt: Libvirt;
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly log: Log;
  readonly folder: (instanceId: string) => string;
  /** Holds the instance's turn for as long as the work takes. */
  readonly turn: <T>(work: () => Promise<T>) => Promise<T>;
}

const RESOURCE = 'disk-copies';
const LOOK_EVERY_MS = 500;
/** libvirt makes the files and asks QEMU about each disk. */
const BEGIN_MS = 60_000;
/** A guest that is not frozen by then goes on as it is. */
const FREEZE_MS = 20_000;
const THAW_TRIES = 3;
const END_MS = 20_000;
const END_LOOK_MS = 50;

type EndTools = Pick<CopyTools, 'libvirt' | 'ledger' | 'clock' | 'log'>;

/** Errors: `object/not-ready` when the guest went off meanwhile (come again), libvirt's own, `actor/stopped`. */
export async function copyDisks(tools: CopyTools, copies: DiskCopies): Promise<void> {
  const { ledger, log } = tools;
  const { instanceId, owner, trace } = copies;
  const ref = domainRef(instanceId, domainName(instanceId));
  try {
    const isBegun = await tools.turn(async () => {
      requireWanted(copies);
      const about = { resource: RESOURCE, name: instanceId, owner, epoch: 0, generation: 0 };
      ledger.record({ ...about, trace, detail: {} });
      return await begin(tools, ref, copies);
    });
    if (isBegun) await untilCopied(tools, ref, copies);
    ledger.forget(RESOURCE, instanceId);
  } catch (error) {
    // Nothing goes on writing behind whoever comes next.
    await endCopy(tools, ref).catch((failure: unknown) =>
      log('warn', 'a copy of disks could not be ended', { instanceId, trace, error: failure }),
    );
    throw (await isOff(tools, ref)) && isLibvirtError(error) ? wentOff(error) : error;
  }
}

/** What copies of an earlier daemon have left in guests (C1). What cannot be ended now is by the next start. */
export async function endLeftCopies(tools: EndTools): Promise<void> {
  const { ledger, log } = tools;
  for (const { name: instanceId, trace } of ledger.list({ resource: RESOURCE })) {
    try {
      await endCopy(tools, domainRef(instanceId, domainName(instanceId)));
      log('info', 'ended a copy of disks that an earlier daemon had begun', { instanceId, trace });
    } catch (error) {
      log('warn', 'a copy of disks could not be ended', { instanceId, trace, error });
    }
  }
}

/** Leaves no job in QEMU and no guest frozen. Quiet when there is no such domain, or it is off. */
async function endCopy({ libvirt, ledger, clock }: EndTools, ref: DomainRef): Promise<void> {
  const isThere = (await libvirt.domains.find(ref.uuid)) !== undefined;
  // With QEMU its jobs are gone, and whoever was frozen.
  if (isThere && !(await isOff({ libvirt }, ref))) {
    await endAndThaw({ libvirt, clock }, ref).catch(async (error: unknown) => {
      // It may have gone off just now.
      if (!(await isOff({ libvirt }, ref))) throw error;
    });
  }
  ledger.forget(RESOURCE, ref.uuid);
}

async function endAndThaw(
  { libvirt, clock }: Pick<CopyTools, 'libvirt' | 'clock'>,
  ref: DomainRef,
): Promise<void> {
  await endJob({ libvirt, clock }, ref);
  await thaw(libvirt, ref).catch(unlessAbsent);
}

/** A job that is called off takes a moment to end. */
async function endJob(
  { libvirt, clock }: Pick<CopyTools, 'libvirt' | 'clock'>,
  ref: DomainRef,
): Promise<void> {
  await libvirt.backup.abort(ref);
  const giveUpAtMono = clock.monoMs() + END_MS;
  while ((await libvirt.backup.job(ref)) !== undefined) {
    if (clock.monoMs() > giveUpAtMono) {
      throw new TroupeError('hypervisor/unavailable', 'a job of the domain does not end');
    }
    await pause(clock, END_LOOK_MS);
  }
}

/** False: the guest is off, and its disks are copied. */
async function begin(tools: CopyTools, ref: DomainRef, copies: DiskCopies): Promise<boolean> {
  const { libvirt, folder, log } = tools;
  const { instanceId, disks, nvram } = copies;
  const { power } = observe(await libvirt.domains.state(ref));
  const isDown = power === 'off';
  if (isDown) await copies.whileOff();
  else if (disks.length > 0) {
    await endJob(tools, ref); // Of an earlier try, whose end was not heard of.
    const isFrozen = power === 'on' && (await freeze(tools, ref, copies));
    try {
      const rows = disks.map(({ device, path }) => ({ disk: device, path }));
      await libvirt.backup.begin(ref, rows, { timeoutMs: BEGIN_MS });
    } finally {
      if (isFrozen) await thaw(libvirt, ref);
    }
    const { trace } = copies;
    log('info', 'copying the disks of a running guest', { instanceId, trace, isFrozen });
  }
  if (nvram !== null) await copyFile(nvramFile(folder(instanceId)), nvram);
  return !isDown && disks.length > 0;
}

/** Whether the guest may be frozen now. One without an agent is copied as if its power had failed at that moment. */
async function freeze(
  { libvirt, log }: CopyTools,
  ref: DomainRef,
  { instanceId, trace }: DiskCopies,
): Promise<boolean> {
  try {
    await libvirt.guest.freeze(ref, { timeoutMs: FREEZE_MS });
    return true;
  } catch (error) {
    if (isAbsent(error)) return false;
    log('warn', 'the guest could not be frozen', { instanceId, trace, error });
    // It may be frozen all the same, as one is already.
    return true;
  }
}

/** A guest that stays frozen hangs: tried more than once. */
async function thaw(libvirt: Libvirt, ref: DomainRef): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      return void (await libvirt.guest.thaw(ref, { timeoutMs: FREEZE_MS }));
    } catch (error) {
      if (isLibvirtError(error, 'operation-invalid') || isLibvirtError(error, 'no-domain')) return;
      if (tries === THAW_TRIES) throw error;
    }
  }
}

async function untilCopied(
  { libvirt, clock }: CopyTools,
  ref: DomainRef,
  copies: DiskCopies,
): Promise<void> {
  for (;;) {
    requireWanted(copies);
    const job = await libvirt.backup.job(ref);
    if (job === undefined) break;
    if (job.totalBytes > 0) copies.onProgress(job.doneBytes, job.totalBytes);
    await pause(clock, LOOK_EVERY_MS);
  }
  const last = await libvirt.backup.lastJob(ref);
  if (last?.isBackup === true && last.type === 'completed') return;
  if (last === undefined || last.type === 'cancelled' || (await isOff({ libvirt }, ref))) {
    throw wentOff();
  }
  const words = last.message === '' ? `it says '${last.type}'` : last.message;
  throw new TroupeError('hypervisor/refused', `QEMU could not copy the disks: ${words}`);
}

/** False when it cannot be known. */
async function isOff({ libvirt }: Pick<CopyTools, 'libvirt'>, ref: DomainRef): Promise<boolean> {
  const state = await libvirt.domains.state(ref).catch(() => null);
  return state !== null && observe(state).power === 'off';
}

function wentOff(cause?: unknown): TroupeError {
  const reason = 'the guest went off, or libvirt was started again, while its disks were copied';
  return new TroupeError('object/not-ready', reason, {}, cause);
}

function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => clock.after(ms, () => resolve()));
}

function requireWanted({ signal, instanceId }: DiskCopies): void {
  if (!signal.aborted) return;
  throw new TroupeError('actor/stopped', `copying the disks of ${instanceId}: called off`);
}

/** There is no agent that could be asked. */
function isAbsent(error: unknown): boolean {
  return (
    isLibvirtError(error, 'agent-unresponsive') ||
    isLibvirtError(error, 'argument-unsupported') ||
    isLibvirtError(error, 'config-unsupported') ||
    isLibvirtError(error, 'operation-unsupported')
  );
}

function unlessAbsent(error: unknown): void {
  if (!isAbsent(error)) throw error;
}
