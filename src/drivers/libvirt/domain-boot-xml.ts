// How a domain boots and what CPU it sees, as XML.
import type { CpuSpec, DomainSpec } from './domain-spec.ts';
import { element, type XmlElement } from './xml.ts';

export function isUefi(spec: DomainSpec): boolean {
  return spec.firmware?.kind === 'uefi';
}

/** `<os>`: machine, firmware, direct kernel. Boot order is said at the devices. */
export function firmwareXml(spec: DomainSpec): XmlElement {
  const { firmware, directKernel: direct, machine = 'q35', arch = 'x86_64' } = spec;
  const type = element('type', { arch, machine }, 'hvm');
  if (firmware?.kind !== 'uefi') return element('os', {}, type, ...kernelXml(direct));
  const secure = firmware.secureBoot === true ? 'yes' : 'no';
  return element(
    'os',
    {},
    type,
    element('loader', { readonly: 'yes', type: 'pflash', secure }, firmware.loader),
    element('nvram', { template: firmware.nvramTemplate }, firmware.nvram),
    ...kernelXml(direct),
  );
}

function kernelXml(direct: DomainSpec['directKernel']): XmlElement[] {
  if (direct === undefined) return [];
  const { kernel, initrd, cmdline } = direct;
  const parts = [element('kernel', {}, kernel)];
  if (initrd !== undefined) parts.push(element('initrd', {}, initrd));
  if (cmdline !== undefined) parts.push(element('cmdline', {}, cmdline));
  return parts;
}

/**
 * `<cpu>`. check is `none`: libvirt's own check refuses models that work (qemu64 wants svm, which TCG
 * lacks), and what works here has been probed by starting a guest.
 */
export function cpuXml(cpu: CpuSpec): XmlElement {
  const disabled = (cpu.disabledFeatures ?? []).map((name) =>
    element('feature', { policy: 'disable', name }),
  );
  if (cpu.mode !== 'custom') return element('cpu', { mode: cpu.mode, check: 'none' }, ...disabled);
  return element(
    'cpu',
    { mode: 'custom', match: 'exact', check: 'none' },
    element('model', { fallback: 'forbid' }, cpu.model),
    ...disabled,
  );
}
