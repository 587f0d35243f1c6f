// The dataplane of one machine on the Linux kernel: a bridge, a router namespace and a dnsmasq per network.
//
// N1  What is wanted goes into the ledger first; then the host is made to match the ledger. Restart, repair,
//     audit and change are that one path, and nothing that is already right is touched.
// N2  One operation at a time per network, and one at a time on what the networks share.
// N3  Every operation checks its fence right before it acts: an older wish than one already seen is refused.
import { TroupeError } from '../../../actors/kernel/errors.ts';
import { formatAddress } from '../../../actors/kernel/kind.ts';
import type { Log } from '../../../actors/kernel/ports.ts';
import type {
  Dataplane,
  Drift,
  PingOutput,
  SegmentReport,
  SegmentSpec,
  TapReport,
  TapSpec,
  WantedBy,
} from '../../../actors/network/ports.ts';
import { segmentMtu } from '../../../actors/network/mtu.ts';
import { isAddress } from '../../../actors/network/netblock.ts';
import type { Exec } from '../exec.ts';
import type { Ledger } from '../ledger.ts';
import { audit } from './audit.ts';
import { checkId, checkSegment, checkTag, checkTap } from './check.ts';
import { checkRunDir } from './dnsmasq.ts';
import { Host, type Errand } from './host.ts';
import { convergeInstallation, refuseOverlap } from './installation.ts';
import { parseBatch } from './listing.ts';
import { KeyedLock } from './lock.ts';
import { installationNames, segmentNames } from './names.ts';
import { recordedBy, Register } from './register.ts';
import type { RecordedBy, RecordedSegment, RecordedTap } from './register.ts';
import type { Finding } from './repair.ts';
import { removeSegmentPieces } from './segment-remove.ts';
import { byName } from './segment-observe.ts';
import { convergeSegment } from './segment.ts';
import { segmentWanted, type Machine } from './segment-wanted.ts';

export interface NetworkDriverOptions extends Machine {
  readonly exec: Exec;
  readonly ledger: Ledger;
  readonly log: Log;
  /** CIDR of the floating pool; the machine's egress bridge has its first address. */
  readonly floatingBlock: string;
}

const SHARED = 'installation';

/** Implements Dataplane. It holds nothing that needs closing: what it made goes on without it. */
export class NetworkDriver implements Dataplane {
  readonly #options: NetworkDriverOptions;
  readonly #host: Host;
  readonly #register: Register;
  readonly #lock = new KeyedLock();

  /** Errors: `config/invalid` for an impossible MTU or a run directory that dnsmasq cannot reach. */
  constructor(options: NetworkDriverOptions) {
    checkTag(options.hostTag);
    segmentMtu(options.underlay.mtu);
    checkRunDir(options.runDir);
    this.#options = options;
    this.#host = new Host(options.exec);
    this.#register = new Register(options.ledger, options.hostTag);
  }

  /** Errors: `config/invalid` when the host already has a route into the floating block. */
  async check(trace: string): Promise<void> {
    const { hostTag, floatingBlock } = this.#options;
    await refuseOverlap(floatingBlock, installationNames(hostTag).egressBridge, this.#host, {
      trace,
    });
  }

  async ensureSegment(unchecked: SegmentSpec, by: WantedBy): Promise<SegmentReport> {
    const spec = checkSegment(unchecked);
    this.#refuseForeign(spec);
    return this.#lock.run(spec.networkId, async () => {
      const recorded = this.#fence(by);
      this.#refuseOtherVni(spec);
      this.#register.putSegment(spec, recorded);
      const segment = { networkId: spec.networkId, vni: spec.vni, spec, by: recorded };
      await this.#shared(by);
      return this.#converge(segment, recorded, by);
    });
  }

  async removeSegment(networkId: string, by: WantedBy): Promise<void> {
    checkId(networkId);
    await this.#lock.run(networkId, async () => {
      this.#fence(by);
      const segment = this.#register.segment(networkId);
      if (segment !== undefined) await this.#remove(segment, by);
      await this.#shared(by);
    });
  }

  async ensureTap(unchecked: TapSpec, by: WantedBy): Promise<TapReport> {
    const spec = checkTap(unchecked);
    return this.#lock.run(spec.networkId, async () => {
      const recorded = this.#fence(by);
      const segment = this.#register.segment(spec.networkId);
      if (segment?.spec === undefined) {
        throw new TroupeError(
          'hypervisor/segment-missing',
          `interface ${spec.interfaceId} needs the segment of network ${spec.networkId}, which is not on this machine yet; ensure the segment first`,
          { networkId: spec.networkId },
        );
      }
      this.#register.putTap(spec, recorded);
      const { mtu } = await this.#converge(segment, segment.by, by).catch(
        async (error: unknown) => {
          // What all segments share is the likelier culprit, and its error says what to do.
          await this.#shared(by);
          throw error;
        },
      );
      const tap = this.#register.tap(spec.interfaceId)?.name ?? '';
      return { tap, mtu };
    });
  }

  async removeTaps(keepInterfaceIds: readonly string[], by: WantedBy): Promise<void> {
    const owner = formatAddress(by.owner);
    const isGone = (tap: RecordedTap) =>
      tap.owner === owner && !keepInterfaceIds.includes(tap.interfaceId);
    for (const tap of this.#register.taps().filter(isGone)) {
      await this.#lock.run(tap.networkId, async () => {
        this.#fence(by);
        await this.#removeTap(tap, by);
      });
    }
  }

  async ping(networkId: string, address: string, trace: string): Promise<PingOutput> {
    checkId(networkId);
    if (!isAddress(address)) throw new TroupeError('actor/bad-message', 'no IPv4 address to ping');
    const segment = this.#register.segment(networkId);
    if (segment === undefined) {
      throw new TroupeError(
        'hypervisor/segment-missing',
        `the segment of network ${networkId} is not on this machine`,
        { networkId },
      );
    }
    const { namespace } = segmentNames(this.#options.hostTag, segment.vni);
    const command = ['ping', '-n', '-c', '10', '-W', '1', address] as const;
    // 1: some or all were not answered; 2: it could not even be asked, and says why.
    const okCodes = [0, 1, 2];
    const output = await this.#host.runInside(namespace, [...command], { trace }, { okCodes });
    return { stdout: output.stdout, stderr: output.stderr };
  }

  audit(
    isWanted: (owner: string) => boolean | undefined,
    trace: string,
  ): Promise<readonly Drift[]> {
    const errand = { trace };
    return audit(isWanted, this.#register, {
      hostTag: this.#options.hostTag,
      runDir: this.#options.runDir,
      host: this.#host,
      errand,
      repair: (segment) => this.#locked(segment, () => this.#repair(segment, segment.by, errand)),
      repairShared: () => this.#shared(errand),
      removeSegment: (segment) => this.#locked(segment, () => this.#remove(segment, errand)),
      removeTap: (tap) => this.#locked(tap, () => this.#removeTap(tap, errand)),
    });
  }

  #locked<T>(what: { readonly networkId: string }, work: () => Promise<T>): Promise<T> {
    return this.#lock.run(what.networkId, work);
  }

  async #converge(
    segment: RecordedSegment,
    by: RecordedBy,
    errand: Errand,
  ): Promise<SegmentReport> {
    const findings = await this.#repair(segment, by, errand);
    if (findings.length > 0) {
      this.#options.log('info', 'segment converged', {
        trace: errand.trace,
        network: segment.networkId,
        repairs: findings.map((finding) => finding.reason),
      });
    }
    const { bridge } = segmentNames(this.#options.hostTag, segment.vni);
    return { bridge, mtu: segmentMtu(this.#options.underlay.mtu) };
  }

  /** Makes the host match what the ledger says of the segment; returns what was not as it should be. */
  async #repair(segment: RecordedSegment, by: RecordedBy, errand: Errand): Promise<Finding[]> {
    const { spec, networkId } = segment;
    if (spec === undefined) {
      throw new TroupeError(
        'actor/bad-snapshot',
        `the ledger's record of the segment of network ${networkId} is of another version; ensure the segment again`,
      );
    }
    const means = { register: this.#register, host: this.#host, by, errand };
    const taps = this.#register.taps(networkId);
    const wanted = segmentWanted(spec, this.#options, taps, {
      owner: segment.by.owner,
      trace: errand.trace,
    });
    return convergeSegment(wanted, means);
  }

  /** Brings what all segments share in line with the ledger. */
  #shared(errand: Errand): Promise<Finding[]> {
    const means = { register: this.#register, host: this.#host, errand };
    return this.#lock.run(SHARED, () =>
      convergeInstallation(this.#options, this.#options.floatingBlock, means),
    );
  }

  async #remove(segment: RecordedSegment, errand: Errand): Promise<void> {
    const taps = this.#register.taps(segment.networkId);
    if (taps.length > 0) {
      throw new TroupeError(
        'network/in-use',
        `network ${segment.networkId} still has ${taps.length} taps on this machine; remove their interfaces first`,
        { networkId: segment.networkId, taps: taps.length },
      );
    }
    const means = { register: this.#register, host: this.#host, errand };
    await removeSegmentPieces(segment, this.#options, means);
    this.#register.ledger.forget('segment', segment.networkId);
  }

  async #removeTap(tap: RecordedTap, errand: Errand): Promise<void> {
    const [rows = []] = parseBatch(await this.#host.ip(null, ['link show'], errand));
    if (byName(rows).has(tap.name)) {
      await this.#host.ip(null, [`link del dev ${tap.name}`], errand);
    }
    this.#register.ledger.forget('tap', tap.name);
    const segment = this.#register.segment(tap.networkId);
    // Its rules and addresses go with the segment's next convergence, which is now.
    if (segment?.spec !== undefined) await this.#repair(segment, segment.by, errand);
  }

  #fence(by: WantedBy): RecordedBy {
    const recorded = recordedBy(by);
    if (by.signal.aborted) {
      throw new TroupeError('actor/stopped', `${recorded.owner}: called off before it began`);
    }
    this.#register.ledger.fence(recorded.owner, by);
    return recorded;
  }

  #refuseForeign(spec: SegmentSpec): void {
    const { floatingBlock, underlay, node } = this.#options;
    if (spec.floatingBlock !== floatingBlock) {
      throw new TroupeError(
        'config/invalid',
        `network ${spec.networkId} uses the floating block ${spec.floatingBlock}, this machine ${floatingBlock}; give all machines the same one`,
      );
    }
    if (underlay.address === null && spec.peers.some((peer) => peer.node !== node)) {
      throw new TroupeError(
        'config/invalid',
        `network ${spec.networkId} reaches other machines, but this one has no underlay address; set one`,
      );
    }
  }

  /** Names are made from the VNI: one VNI is one network, and for good. */
  #refuseOtherVni(spec: SegmentSpec): void {
    const other = this.#register
      .segments()
      .find((segment) => (segment.vni === spec.vni) !== (segment.networkId === spec.networkId));
    if (other === undefined) return;
    throw new TroupeError(
      'actor/bad-message',
      `network ${spec.networkId} is to have VNI ${spec.vni}, but the ledger has VNI ${other.vni} for network ${other.networkId}; remove that segment first`,
    );
  }
}
