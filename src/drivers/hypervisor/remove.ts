// Takes a domain out of libvirt, whatever state it is in.
import { TroupeError } from '../../../actors/kernel/errors.ts';
import type { Log } from '../../../actors/kernel/ports.ts';
import type { Libvirt } from '../libvirt/client.ts';
import { isLibvirtError } from '../libvirt/errors.ts';
import type { OwnDomains } from './own-domains.ts';

/** A QEMU that waits for storage is killed by the kernel only when that answers. */
const DESTROY_TIMEOUT_MS = 60_000;

/**
 * Stops the domain at once and removes its definition with its UEFI variables. Quiet when there is none.
 * Errors: libvirt's own; `hypervisor/unavailable` when it is still there afterwards.
 */
export async function undefineDomain(
  tools: { readonly libvirt: Libvirt; readonly own: OwnDomains; readonly log: Log },
  instanceId: string,
): Promise<void> {
  const { libvirt, own } = tools;
  const domain = await own.find(instanceId);
  if (domain === undefined) return;
  const limits = { timeoutMs: DESTROY_TIMEOUT_MS };
  // A domain that is not running can't be destroyed, and one without stored definition (transient) is
  // gone once it is; both are what is wanted.
  await unless('operation-invalid', () => libvirt.domains.destroy(domain.ref, limits));
  await unless('operation-invalid', () => libvirt.domains.undefine(domain.ref, limits));
  if ((await libvirt.domains.find(instanceId)) === undefined) return;
  throw new TroupeError(
    'hypervisor/unavailable',
    `domain ${domain.ref.name} is still there after it was stopped and undefined: something starts it again`,
    { instanceId },
  );
}

async function unless(accepted: 'operation-invalid', call: () => Promise<void>): Promise<void> {
  try {
    await call();
  } catch (error) {
    if (isLibvirtError(error, accepted) || isLibvirtError(error, 'no-domain')) return;
    throw error;
  }
}
