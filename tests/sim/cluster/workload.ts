// What clients ask of the cluster, at random, each time of another daemon; and what they were told.
//
// L1  Acknowledged is what a living daemon has answered. Everything else may have been done or not.
// L2  A client that was not answered asks again, perhaps much later, perhaps of another daemon.
// L3  A client keeps to the order that any client has to: it deletes only what it has asked for.
import { artifactRef } from '../../../actors/artifact/state.ts';
import { instanceRef } from '../../../actors/instance/state.ts';
import { interfaceRef } from '../../../actors/interface/state.ts';
import { codeOf, TroupeError } from '../../../actors/kernel/errors.ts';
import { formatAddress, type Address, type Ref } from '../../../actors/kernel/kind.ts';
import type { AskReply } from '../../../actors/kernel/ports.ts';
import { namespaceRef } from '../../../actors/namespace/state.ts';
import { routedAddresses } from '../../../actors/network/routes.ts';
import { FLOATING, networkRef, type NetworkState } from '../../../actors/network/state.ts';
import { instanceMessage } from '../main-path.ts';
import type { Choices } from './choices.ts';
import { ImageWork, type Ask } from './image-work.ts';
import { URLS, type SimNode } from './node.ts';
import type { Site } from './site.ts';
import type { Watch } from './watch.ts';

const POWER = ['poweron', 'poweroff', 'pause', 'unpause', 'reboothard', 'rebootsoft'] as const;
/** Few addresses, so that they are given again and again. */
const NETBLOCK = '10.0.0.0/29';

export interface Counts {
  readonly asked: number;
  readonly acknowledged: number;
  readonly refused: number;
}

/** Of all instances. */
const FROM_SNAPSHOT = 0.2;

export class Workload {
  /** Ids asked for, whether or not they came to be. */
  readonly artifacts: { readonly id: string; readonly node: string }[] = [];
  readonly networks: string[] = [];
  readonly instances: string[] = [];
  readonly namespaces: string[] = [];
  /** Addresses whose creation, or deletion, was acknowledged. */
  readonly created = new Set<string>();
  readonly deleted = new Set<string>();
  /** Addresses whose deletion was asked for. */
  readonly leaving = new Set<string>();
  /** Acknowledged keys by namespace. */
  readonly keys = new Map<string, Set<string>>();
  /** Acknowledged floating addresses by owner. */
  readonly floating = new Map<string, string>();
  readonly #counts = { asked: 0, acknowledged: 0, refused: 0 };
  readonly #site: Site;
  readonly #nodes: readonly SimNode[];
  readonly #choices: Choices;
  readonly #watch: Watch;
  readonly #floats: string[] = [];
  readonly #images: ImageWork;
  readonly #unanswered = new Set<() => void>();

  constructor(site: Site, nodes: readonly SimNode[], choices: Choices, watch: Watch) {
    this.#site = site;
    this.#nodes = nodes;
    this.#choices = choices;
    this.#watch = watch;
    this.#images = new ImageWork(site, nodes, choices, {
      ask: this.#ask,
      made: this.#made,
      leaves: (address) => void this.leaving.add(address),
    });
  }

  get counts(): Counts {
    return this.#counts;
  }

  /** One request, of whatever sort; nothing when no daemon serves. */
  operate(): void {
    const act = this.#choices.weighted<() => void>([
      [3, () => this.#createArtifact()],
      [1, () => this.#createNetwork()],
      [7, () => this.#createInstance()],
      [1, () => this.#createNamespace()],
      [2, () => this.#setKey()],
      [3, () => this.#setPower()],
      [3, () => this.#reserveFloating()],
      [3, () => this.#releaseFloating()],
      [3, () => this.#float()],
      [2, () => this.#route()],
      [4, () => this.#images.operate(this)],
      [4, () => this.#delete()],
      [3, () => this.#askAgain()],
    ]);
    act();
  }

  /** Asks once more for the end of everything; call it until nothing is left. */
  deleteAll(): void {
    for (const id of this.instances) this.#askDelete(instanceRef(id));
    for (const id of this.networks) this.#askDelete(networkRef(id));
    for (const { id } of this.artifacts) this.#askDelete(artifactRef(id));
    for (const id of this.#images.artifacts) this.#askDelete(artifactRef(id));
    for (const id of this.#consoleArchives()) this.#askDelete(artifactRef(id));
    for (const owner of this.#floats) this.#release(owner);
  }

  /** What instances have left behind on purpose, and will not go by itself within the run. */
  #consoleArchives(): string[] {
    return [...this.#site.view.objects.values()].flatMap(({ kind, id, state }) => {
      const isArchive = kind === 'artifact' && 'expiresAtMs' in (state as object);
      return isArchive ? [id] : [];
    });
  }

  #createArtifact(): void {
    const number = this.artifacts.length;
    const id = `artifact-${number}`;
    const node = this.#choices.pick(this.#nodes).name;
    this.artifacts.push({ id, node });
    const url = this.#choices.pick(URLS);
    const namespace = `ns${number % 2}`;
    const named = { type: 'image', name: id, namespace, sourceUrl: url } as const;
    const source = { kind: 'url', url } as const;
    const where = { blobId: `blob-of-${id}`, node, shared: false, maxVersions: 3 };
    this.#ask(artifactRef(id), { kind: 'create', ...named, source, ...where }, this.#made);
  }

  #createNetwork(): void {
    const id = `network-${this.networks.length}`;
    this.networks.push(id);
    const services = { dhcp: true, nat: this.#choices.chance(0.5), dns: false };
    const message = { kind: 'create', name: id, namespace: 'ns', ...services } as const;
    this.#ask(networkRef(id), { ...message, netblock: NETBLOCK }, this.#made);
  }

  #createInstance(): void {
    if (this.artifacts.length === 0 || this.networks.length === 0) return this.#createNetwork();
    const id = `instance-${this.instances.length}`;
    this.instances.push(id);
    const message = instanceMessage();
    const artifact = this.#choices.chance(FROM_SNAPSHOT)
      ? this.#images.pickSnapshot(this.artifacts)
      : this.#choices.pick(this.artifacts);
    const nics = [0, 1].slice(0, this.#choices.pick([0, 1, 1, 2])).flatMap((order) =>
      message.nics.map((nic) => {
        // Few networks with many instances, so that addresses change hands.
        const networkId = this.#choices.pick(this.networks.slice(-2));
        const float = this.#choices.chance(0.15);
        return { ...nic, interfaceId: `nic${order}-of-${id}`, networkId, order, float };
      }),
    );
    const disks = message.disks.map((disk) => ({ ...disk, artifactId: artifact.id }));
    // A disk is built where its image is; without one any node will do.
    const isBlank = this.#choices.chance(0.3);
    const where = isBlank
      ? { requestedNode: null, disks: [] }
      : { requestedNode: artifact.node, disks };
    this.#ask(instanceRef(id), { ...message, name: id, nics, ...where }, this.#made);
  }

  #createNamespace(): void {
    const id = `namespace-${this.namespaces.length}`;
    this.namespaces.push(id);
    this.#ask(namespaceRef(id), { kind: 'create' }, this.#made);
  }

  /** Many small changes of few objects: what is lost of them shows. */
  #setKey(): void {
    if (this.namespaces.length === 0) return this.#createNamespace();
    const id = this.#choices.pick(this.namespaces);
    const name = `key-${this.#counts.asked}`;
    const key = { hash: 'hash', salt: 'salt', nonce: name, expiresAtMs: null };
    this.#ask(namespaceRef(id), { kind: 'set-key', name, key }, () => {
      this.keys.set(id, (this.keys.get(id) ?? new Set()).add(name));
    });
  }

  #setPower(): void {
    if (this.instances.length === 0) return;
    const action = this.#choices.pick(POWER);
    const id = this.#choices.pick(this.instances);
    this.#ask(instanceRef(id), { kind: 'set-power', action }, () => {});
  }

  #reserveFloating(): void {
    const owner = `interface/float-${this.#floats.length}`;
    this.#floats.push(owner);
    const user = ['interface', owner] as [string, string];
    const message = { kind: 'reserve', owner, user, type: 'floating', address: null } as const;
    this.#ask(networkRef(FLOATING), message, (_to, { value }) => {
      if (typeof value === 'string' && !this.leaving.has(owner)) this.floating.set(owner, value);
    });
  }

  /** What was given back already is given back again now and then: nobody may come to harm. */
  #releaseFloating(): void {
    const [held] = this.floating.keys();
    const given = this.#floats.filter((owner) => this.leaving.has(owner));
    const owner = given.length > 0 && this.#choices.chance(0.5) ? this.#choices.pick(given) : held;
    if (owner !== undefined) this.#release(owner);
  }

  #release(owner: string): void {
    this.floating.delete(owner);
    this.leaving.add(owner);
    this.#ask(networkRef(FLOATING), { kind: 'release', owner }, () => {});
  }

  /** Of what may not be there, or not any more. */
  #float(): void {
    if (this.instances.length === 0) return;
    const nic = interfaceRef(`nic0-of-${this.#choices.pick(this.instances.slice(-6))}`);
    this.#ask(nic, { kind: this.#choices.chance(0.6) ? 'float' : 'defloat' }, () => {});
  }

  #route(): void {
    if (this.networks.length === 0) return;
    const id = this.#choices.pick(this.networks.slice(-3));
    const state = this.#site.view.stateOf<NetworkState>('network', id);
    const routed = state === undefined ? [] : routedAddresses(state);
    const [address] = routed;
    if (address === undefined || (routed.length < 2 && this.#choices.chance(0.5))) {
      this.#ask(networkRef(id), { kind: 'route' }, () => {});
    } else {
      this.#ask(networkRef(id), { kind: 'unroute', address }, () => {});
    }
  }

  /** What was not acknowledged is asked again, sooner or later. */
  #askAgain(): void {
    const [again] = this.#unanswered;
    if (again === undefined) return;
    this.#unanswered.delete(again);
    again();
  }

  #delete(): void {
    const ids = this.#choices.weighted<readonly Ref<{ readonly kind: 'delete' }>[]>([
      [1, this.artifacts.map(({ id }) => artifactRef(id))],
      [1, this.#images.artifacts.map((id) => artifactRef(id))],
      [1, this.networks.map((id) => networkRef(id))],
      [3, this.instances.map((id) => instanceRef(id))],
    ]);
    if (ids.length > 0) this.#askDelete(this.#choices.pick(ids));
  }

  #askDelete(to: Ref<{ readonly kind: 'delete' }>): void {
    this.leaving.add(formatAddress(to));
    this.#ask(to, { kind: 'delete' }, () => this.deleted.add(formatAddress(to)));
  }

  readonly #made = (to: Address, { revision }: AskReply): void => {
    const name = formatAddress(to);
    this.created.add(name);
    if (this.#site.view.seen.has(name) && revision <= this.#site.server.revision) return;
    this.#watch.broken(2, name, `its creation was acknowledged at revision ${revision}, unstored`);
  };

  /** Sends it by a daemon that serves; `acknowledged` is called with what was answered. */
  readonly #ask: Ask = (to, message, acknowledged) => {
    const daemons = this.#nodes.flatMap(({ daemon }) => (daemon?.isServing ? [daemon] : []));
    if (daemons.length === 0) return;
    const daemon = this.#choices.pick(daemons);
    const trace = `op-${++this.#counts.asked}`;
    const what = `${trace} ${message.kind} ${formatAddress(to)}`;
    this.#site.trace.note(`${what} asked of ${daemon.bootId}`);
    daemon.router.ask(to, message, { trace }).then(
      (reply) => {
        if (daemon.isDead) return;
        this.#counts.acknowledged++;
        this.#site.trace.note(`${what} acknowledged`);
        acknowledged(to, reply);
      },
      (error: unknown) => {
        this.#counts.refused++;
        const isForGood = error instanceof TroupeError && error.retry === 'never';
        if (!isForGood) this.#unanswered.add(() => this.#ask(to, message, acknowledged));
        this.#site.trace.note(`${what} ${codeOf(error)}`);
      },
    );
  };
}
