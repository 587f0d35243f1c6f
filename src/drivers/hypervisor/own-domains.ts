// Which of the domains in libvirt are this daemon's own.
//
// O1  A domain is ours when its metadata says so, with this daemon's host tag: a machine may run other
//     people's domains, and in a lab several daemons may share one libvirt. Nothing else is ever touched.
// O2  The domain's UUID is the instance's id, so finding one is one call.
import { TroupeError } from '../../../actors/kernel/errors.ts';
import type { WantedBy } from '../../../actors/network/ports.ts';
import type { Libvirt } from '../libvirt/client.ts';
import { readDomainXml } from '../libvirt/domain-xml.ts';
import type { DomainMetadata } from '../libvirt/domain-spec.ts';
import type { DomainRef } from '../libvirt/wire.ts';
import { domainName } from './domain-record.ts';

export interface OwnDomain {
  readonly ref: DomainRef;
  readonly instanceId: string;
  /** Digest of the stored definition (definition.ts). */
  readonly digest: string;
}

/** The mark that makes a domain ours; the request is kept for whoever looks at libvirt. */
export function ownMark(
  hostTag: string,
  instanceId: string,
  digest: string,
  by: WantedBy,
): DomainMetadata {
  const { epoch, generation, trace } = by;
  return {
    host: hostTag,
    instance: instanceId,
    digest,
    trace,
    epoch: String(epoch),
    generation: String(generation),
  };
}

export class OwnDomains {
  readonly #libvirt: Libvirt;
  readonly #hostTag: string;

  constructor(libvirt: Libvirt, hostTag: string) {
    this.#libvirt = libvirt;
    this.#hostTag = hostTag;
  }

  /** Undefined when there is none. Error: `hypervisor/refused` when the one with this UUID is not ours. */
  async find(instanceId: string): Promise<OwnDomain | undefined> {
    const ref = await this.#libvirt.domains.find(instanceId);
    if (ref === undefined) return undefined;
    const own = await this.#read(ref);
    if (own !== undefined) return own;
    throw new TroupeError(
      'hypervisor/refused',
      `libvirt has a domain ${ref.name} with the UUID ${instanceId} that this daemon did not make; rename or remove it`,
      { instanceId, domain: ref.name },
    );
  }

  /** All of them, defined or only running. */
  async list(): Promise<readonly OwnDomain[]> {
    const refs = await this.#libvirt.host.listDomains();
    const named = refs.filter((ref) => ref.name === domainName(ref.uuid));
    const own = await Promise.all(named.map((ref) => this.#read(ref)));
    return own.filter((domain) => domain !== undefined);
  }

  /** Instances whose domain runs without a stored definition, which somebody removed under it. */
  async transient(): Promise<ReadonlySet<string>> {
    const refs = await this.#libvirt.host.listDomains(['transient']);
    return new Set(refs.map((ref) => ref.uuid));
  }

  async #read(ref: DomainRef): Promise<OwnDomain | undefined> {
    const xml = await this.#libvirt.domains.xml(ref, { inactive: true });
    const mark = readDomainXml(xml).metadata;
    if (mark?.['host'] !== this.#hostTag || mark['instance'] !== ref.uuid) return undefined;
    return { ref, instanceId: ref.uuid, digest: mark['digest'] ?? '' };
  }
}
