// A simulated network driver: behaves like src/drivers/network, without a kernel.
import { TroupeError } from '../../actors/kernel/errors.ts';
import { formatAddress, parseAddress } from '../../actors/kernel/kind.ts';
import type {
  Dataplane,
  Drift,
  PingOutput,
  SegmentReport,
  SegmentSpec,
  TapReport,
  TapSpec,
  WantedBy,
} from '../../actors/network/ports.ts';
import { Turns } from '../../src/drivers/turns.ts';
import type { SimMachine } from './sim-machine.ts';

const MTU = 1450;

interface SimTap {
  readonly spec: TapSpec;
  readonly owner: string;
}

/** What the kernel of one machine holds. */
export class SimNet {
  readonly segments = new Map<string, SegmentSpec>();
  readonly taps = new Map<string, SimTap>();

  list(): string[] {
    const segments = [...this.segments.keys()].map((id) => `segment ${id}`);
    return [...segments, ...[...this.taps.keys()].map((id) => `tap ${id}`)];
  }
}

/** The driver of one daemon. */
export class SimDataplane implements Dataplane {
  readonly #machine: SimMachine;
  readonly #isAlive: () => boolean;
  readonly #turns = new Turns();

  constructor(machine: SimMachine, isAlive: () => boolean) {
    this.#machine = machine;
    this.#isAlive = isAlive;
  }

  ensureSegment(spec: SegmentSpec, by: WantedBy): Promise<SegmentReport> {
    const { networkId } = spec;
    return this.#turn('ensureSegment', networkId, by, () => {
      this.#record('segment', networkId, by);
      this.#machine.net.segments.set(networkId, spec);
      return { bridge: `br-${spec.vni}`, mtu: MTU };
    });
  }

  removeSegment(networkId: string, by: WantedBy): Promise<void> {
    return this.#turn('removeSegment', networkId, by, () => {
      const { net, ledger } = this.#machine;
      const left = [...net.taps.values()].filter(({ spec }) => spec.networkId === networkId);
      if (left.length > 0) {
        const reason = `network ${networkId} still has ${left.length} taps on this machine`;
        throw new TroupeError('network/in-use', reason);
      }
      net.segments.delete(networkId);
      ledger.forget('segment', networkId);
    });
  }

  ensureTap(spec: TapSpec, by: WantedBy): Promise<TapReport> {
    const { networkId, interfaceId } = spec;
    return this.#turn('ensureTap', networkId, by, () => {
      const { net } = this.#machine;
      if (!net.segments.has(networkId)) {
        const reason = `the segment of network ${networkId} is not on this machine yet`;
        throw new TroupeError('hypervisor/segment-missing', reason);
      }
      this.#record('tap', interfaceId, by);
      net.taps.set(interfaceId, { spec, owner: formatAddress(by.owner) });
      return { tap: `tap-${interfaceId}`, mtu: MTU };
    });
  }

  async removeTaps(keepInterfaceIds: readonly string[], by: WantedBy): Promise<void> {
    const { net, ledger } = this.#machine;
    const owner = formatAddress(by.owner);
    for (const [interfaceId, tap] of net.taps) {
      if (tap.owner !== owner || keepInterfaceIds.includes(interfaceId)) continue;
      await this.#turn('removeTaps', tap.spec.networkId, by, () => {
        net.taps.delete(interfaceId);
        ledger.forget('tap', interfaceId);
      });
    }
  }

  ping(networkId: string, address: string): Promise<PingOutput> {
    const { segments } = this.#machine.net;
    const there = segments.get(networkId)?.ports.some((port) => port.ipv4 === address) === true;
    const stdout = `10 packets transmitted, ${there ? '10 received, 0' : '0 received, 100'}% packet loss\n`;
    return Promise.resolve({ stdout, stderr: '' });
  }

  async audit(
    isWanted: (owner: string) => boolean | undefined,
    trace: string,
  ): Promise<readonly Drift[]> {
    const { net, ledger } = this.#machine;
    const drifts: Drift[] = [];
    for (const { resource, name, owner, epoch, generation } of ledger.list()) {
      const known = resource === 'segment' || resource === 'tap';
      if (!known || isWanted(owner) !== false) continue;
      const things: Map<string, unknown> = resource === 'tap' ? net.taps : net.segments;
      const address = parseAddress(owner) ?? { kind: 'network', id: owner };
      const by = { owner: address, epoch, generation, trace, signal: new AbortController().signal };
      await this.#turn('repair', name, by, () => {
        things.delete(name);
        ledger.forget(resource, name);
      });
      const reason = 'nobody wants it';
      drifts.push({ owner, resource, name, problem: 'unknown', reason, repaired: true });
    }
    return drifts;
  }

  #turn<T>(call: string, networkId: string, by: WantedBy, act: () => T): Promise<T> {
    return this.#turns.run(networkId, () => {
      const { ledger } = this.#machine;
      if (!this.#isAlive()) return new Promise<T>(() => {});
      ledger.fence(formatAddress(by.owner), by);
      const subject = { id: networkId, by, isAlive: this.#isAlive };
      return this.#machine.act(`network.${call}`, subject, act);
    });
  }

  #record(resource: string, name: string, by: WantedBy): void {
    const { epoch, generation, trace } = by;
    const owner = formatAddress(by.owner);
    this.#machine.ledger.record({ resource, name, owner, epoch, generation, trace, detail: {} });
  }
}
