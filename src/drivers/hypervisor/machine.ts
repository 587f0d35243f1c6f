// What this machine offers a domain, found out once when the daemon starts.
import type { HypervisorCapabilities } from '../../../actors/instance/ports.ts';
import type { CpuSpec } from '../libvirt/domain-spec.ts';
import type { Libvirt } from '../libvirt/client.ts';
import type { Probed } from './probe.ts';

export interface Machine {
  readonly capabilities: HypervisorCapabilities;
  /** Machine type of new guests. */
  readonly machineType: 'q35' | 'pc';
  /** Whether QEMU here can show a screen by SPICE; Debian 13 has it in a package of its own. */
  readonly hasSpice: boolean;
}

/**
 * Asks libvirt what it is and what QEMU can do. The first such question after libvirtd's start takes
 * seconds, because libvirt then probes QEMU: better now than in the first tenant's way.
 */
export async function inspectMachine(
  libvirt: Libvirt,
  probed: Probed,
  machineType: 'q35' | 'pc',
): Promise<Machine> {
  const type = probed.accelerator === 'kvm' ? 'kvm' : 'qemu';
  const { libvirt: libvirtVersion } = await libvirt.host.versions();
  const offered = await libvirt.host.domainCapabilities({ machine: machineType, type });
  const { accelerator, cpuModel, warning, qemuVersion } = probed;
  return {
    capabilities: { accelerator, cpuModel, warning, libvirtVersion, qemuVersion },
    machineType,
    hasSpice: graphicsTypes(offered).includes('spice'),
  };
}

/** The probed CPU in libvirt's terms. */
export function cpuSpec({ accelerator, cpuModel }: HypervisorCapabilities): CpuSpec {
  if (accelerator === 'kvm' && cpuModel === 'host') return { mode: 'host-passthrough' };
  if (cpuModel === 'max') return { mode: 'maximum' };
  // TCG's qemu64 offers AMD's SVM, which libvirt then finds missing.
  if (cpuModel === 'qemu64') return { mode: 'custom', model: cpuModel, disabledFeatures: ['svm'] };
  return { mode: 'custom', model: cpuModel };
}

/** Values of `<graphics><enum name='type'>` in libvirt's domain capabilities. */
export function graphicsTypes(domainCapabilities: string): string[] {
  const graphics = /<graphics supported='yes'>(.*?)<\/graphics>/s.exec(domainCapabilities)?.[1];
  const types = /<enum name='type'>(.*?)<\/enum>/s.exec(graphics ?? '')?.[1] ?? '';
  return [...types.matchAll(/<value>([^<]*)<\/value>/g)].map(([, value = '']) => value);
}
