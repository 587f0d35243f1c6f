// Diskless domains for tests against a real libvirtd: QEMU under TCG, in the firmware, running nothing.
import { randomUUID } from 'node:crypto';
import type { Libvirt } from '../../../src/drivers/libvirt/client.ts';
import type { DomainSpec } from '../../../src/drivers/libvirt/domain-spec.ts';
import { buildDomainXml } from '../../../src/drivers/libvirt/domain-xml.ts';
import type { DomainRef } from '../../../src/drivers/libvirt/wire.ts';

export function tinySpec(more: Partial<DomainSpec> = {}): DomainSpec {
  const uuid = randomUUID();
  return {
    name: `tiny-${uuid.slice(0, 8)}`,
    uuid,
    type: 'qemu',
    memoryMiB: 32,
    vcpus: 1,
    cpu: { mode: 'custom', model: 'qemu64', disabledFeatures: ['svm'] },
    serial: { source: { kind: 'pty' } },
    ...more,
  };
}

/**
 * Defines and starts a domain for the length of `body`; destroys and undefines it whatever happens.
 * `devices` is XML of devices that the builder does not know.
 */
export async function withDomain(
  libvirt: Libvirt,
  { devices = '', ...more }: Partial<DomainSpec> & { devices?: string },
  body: (domain: DomainRef) => Promise<void>,
): Promise<void> {
  const xml = buildDomainXml(tinySpec(more)).replace('</devices>', `${devices}$&`);
  const defined = await libvirt.domains.define(xml, { validate: true });
  try {
    await body(await libvirt.domains.start(defined));
  } finally {
    const { state } = await libvirt.domains.state(defined);
    if (state !== 'shutoff') await libvirt.domains.destroy(defined);
    await libvirt.domains.undefine(defined);
  }
}
