// One more interface on a network that has one on each of N nodes: how long until every node's segment knows it, and how
// many messages that takes. Whole daemons on simulated drivers, mesh and store; the floor is the bare asks to N nodes
// over the same mesh, which carry what the segments are told.
//
// Two times are reported. Virtual: with the delays of mesh and store, up to 2 and 20 ms a way, as on a slow network. Real:
// what it costs to compute, all daemons on one core.
import { networkRef, type NetworkMessage, type NetworkState } from '../../actors/network/state.ts';
import type { SegmentSpec } from '../../actors/network/ports.ts';
import { SimNode } from '../sim/cluster/node.ts';
import { Site } from '../sim/cluster/site.ts';
import { LocalClock } from '../sim/cluster/virtual-clock.ts';
import type { Report } from './row.ts';

const SIZES = [10, 100] as const;
const NETWORK = 'network-1';
const LOOK_MS = 1;
const REST_MS = 30_000;
const PATIENCE_MS = 600_000;
const ROUNDS = 5;

/** Reports rows per number of nodes. */
export async function bench(report: Report): Promise<void> {
  for (const size of SIZES) await benchNodes(size, report);
}

interface Spent {
  readonly virtualMs: number;
  readonly realMs: number;
  readonly messages: number;
}

async function benchNodes(size: number, report: Report): Promise<void> {
  const here = new Installation(size);
  await here.start();
  const [ours, floor]: [Spent[], Spent[]] = [[], []];
  for (let round = 0; round < ROUNDS; round++) {
    floor.push(await here.askAll());
    ours.push(await here.attachOne(round));
  }
  const row = (what: string, unit: string, of: (spent: Spent) => number) =>
    report({
      name: `peer update, ${size} nodes: ${what}`,
      ours: median(ours.map(of)),
      floor: median(floor.map(of)),
      unit,
    });
  row('time', 'ms, virtual', ({ virtualMs }) => virtualMs);
  row('computing', 'ms', ({ realMs }) => realMs);
  row('messages', 'messages', ({ messages }) => messages);
  here.stop();
}

/** A cluster with one network, and an interface of it on each node. */
class Installation {
  readonly #site = new Site({ seed: 1, bug: null, print: null });
  readonly #nodes: readonly SimNode[];

  constructor(size: number) {
    this.#nodes = Array.from({ length: size }, (_, index) => new SimNode(this.#site, index + 1));
  }

  async start(): Promise<void> {
    for (const node of this.#nodes) node.boot();
    await this.#until(() => this.#nodes.every(({ isServing }) => isServing), 1_000);
    const services = { dhcp: true, nat: false, dns: false, namespace: 'ns', name: NETWORK };
    this.#tell({ kind: 'create', ...services, netblock: '10.0.0.0/16' });
    await this.#until(() => this.#network()?.phase === 'created', 100);
    for (const { name } of this.#nodes) this.#attach(`nic-of-${name}`, name);
    await this.#until(() => this.#know(`nic-of-${this.#nodes.at(-1)?.name}`), 100);
    await this.#site.clock.advance(REST_MS);
  }

  stop(): void {
    for (const node of this.#nodes) node.kill('measured');
  }

  /** Until every node's segment has one more interface. */
  attachOne(round: number): Promise<Spent> {
    const [, second] = this.#nodes;
    const id = `late-${round}`;
    return this.#spend(
      () => this.#attach(id, second?.name ?? ''),
      () => this.#know(id),
    );
  }

  /** The least there is to it: each node is told the segment, and has answered. */
  askAll(): Promise<Spent> {
    const spec = this.#nodes[0]?.machine.net.segments.get(NETWORK);
    const { mesh, clock } = this.#site;
    const want = { spec };
    let answered = 0;
    const taker = { receive: () => Promise.resolve({ value: null, revision: 0 }) };
    const leaves = this.#nodes.map(({ name }) =>
      mesh.join({ node: `bare ${name}`, clock: new LocalClock(clock), ...taker }),
    );
    const asker = { node: 'bare', clock: new LocalClock(clock), ...taker };
    const peers = mesh.peersOf(asker);
    const begin = () => {
      for (const { name } of this.#nodes) {
        const to = { kind: 'segment', id: name };
        const options = { trace: 'bench' };
        void peers
          .ask(`bare ${name}`, to, { ...want, kind: 'want' }, options)
          .then(() => answered++);
      }
    };
    return this.#spend(begin, () => answered === leaves.length).finally(() => {
      for (const leave of leaves) leave();
    });
  }

  async #spend(begin: () => void, isDone: () => boolean): Promise<Spent> {
    const { clock, mesh } = this.#site;
    const [begunMono, sent, begun] = [clock.monoMs(), mesh.sent, performance.now()];
    begin();
    await this.#until(isDone, LOOK_MS);
    const [virtualMs, realMs] = [clock.monoMs() - begunMono, performance.now() - begun];
    // What is still under way belongs to it: outcomes that are recorded, answers that nobody waits for.
    await clock.advance(REST_MS);
    return { virtualMs, realMs, messages: mesh.sent - sent };
  }

  #attach(interfaceId: string, node: string): void {
    const port = { instanceId: `instance of ${interfaceId}`, mac: '02:00:00:00:00:01', ipv4: null };
    this.#tell({ kind: 'attach', interfaceId, hostname: interfaceId, node, ...port });
  }

  #tell(message: NetworkMessage): void {
    const [first] = this.#nodes;
    first?.daemon?.router.tell(networkRef(NETWORK), message, { trace: 'bench' });
  }

  #network(): NetworkState | undefined {
    return this.#site.view.stateOf('network', NETWORK);
  }

  #know(interfaceId: string): boolean {
    const isIn = (segment: SegmentSpec | undefined) =>
      segment?.ports.some((port) => port.interfaceId === interfaceId) === true;
    return this.#nodes.every(({ machine }) => isIn(machine.net.segments.get(NETWORK)));
  }

  async #until(holds: () => boolean, stepMs: number): Promise<void> {
    const { clock } = this.#site;
    const giveUpAt = clock.monoMs() + PATIENCE_MS;
    while (!holds()) {
      if (clock.monoMs() > giveUpAt) throw new Error('not within the time that it may take');
      await clock.advance(stepMs);
    }
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
