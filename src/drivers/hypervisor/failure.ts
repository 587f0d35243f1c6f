// libvirt's errors as Troupe's: one place decides what may be tried again.
import { TroupeError } from '../../../actors/kernel/errors.ts';
import { isLibvirtError, type LibvirtReason } from '../libvirt/errors.ts';

/** Nothing is known to be wrong with the wish itself: the same call may well succeed later. */
const PASSING: ReadonlySet<LibvirtReason> = new Set<LibvirtReason>([
  ...(['unreachable', 'disconnected', 'deadline', 'malformed'] as const),
  ...(['operation-timeout', 'resource-busy', 'operation-aborted', 'rpc-error'] as const),
]);

/**
 * `hypervisor/unavailable` (try again) or `hypervisor/refused`, with libvirt's own words; `actor/stopped`
 * for a call that its caller aborted. What is not libvirt's is returned as it is.
 */
export function toTroupeError(error: unknown, what: string): unknown {
  if (!isLibvirtError(error)) return error;
  const detail = { reason: error.reason, outcome: error.outcome, libvirtCode: error.code };
  if (error.reason === 'aborted') {
    return new TroupeError('actor/stopped', `${what}: called off`, detail, error);
  }
  if (PASSING.has(error.reason)) {
    return new TroupeError('hypervisor/unavailable', `${what}: ${error.message}`, detail, error);
  }
  return new TroupeError('hypervisor/refused', `${what}: ${error.message}`, detail, error);
}

/** QEMU could not listen where it was told to: a console port that somebody else took meanwhile. */
export function isPortClash(error: unknown): boolean {
  return isLibvirtError(error) && error.message.includes('Address already in use');
}
