// What clients do with images beyond fetching them: snapshots, labels, versions, and an image that is used again after its
// source has changed.
import { artifactRef, type ArtifactState } from '../../../actors/artifact/state.ts';
import { diskSnapshotRef } from '../../../actors/disk-snapshot/state.ts';
import type { BlobState } from '../../../actors/blob/state.ts';
import type { InstanceState } from '../../../actors/instance/state.ts';
import {
  formatAddress,
  type Address,
  type Message,
  type Ref,
} from '../../../actors/kernel/kind.ts';
import type { AskReply } from '../../../actors/kernel/ports.ts';
import type { Choices } from './choices.ts';
import { URLS, type SimNode } from './node.ts';
import type { Site } from './site.ts';

export type Ask = <M extends Message>(
  to: Ref<M>,
  message: NoInfer<M>,
  acknowledged: (to: Address, reply: AskReply) => void,
) => void;

export interface Client {
  readonly ask: Ask;
  /** Its creation was acknowledged. */
  readonly made: (to: Address, reply: AskReply) => void;
  /** It may go from now on. */
  readonly leaves: (address: string) => void;
}

/** An artifact, and a node that has its image. */
interface Startable {
  readonly id: string;
  readonly node: string;
}

interface Known {
  readonly artifacts: readonly { readonly id: string }[];
  readonly instances: readonly string[];
}

/** Few, so that each gets versions again and again. */
const LABELS = 2;
/** Of all snapshots. */
const THIN = 0.5;

export class ImageWork {
  /** Labels and artifacts of snapshots that were asked for. */
  readonly artifacts: string[] = [];
  readonly #site: Site;
  readonly #nodes: readonly SimNode[];
  readonly #choices: Choices;
  readonly #client: Client;
  #count = 0;

  constructor(site: Site, nodes: readonly SimNode[], choices: Choices, client: Client) {
    this.#site = site;
    this.#nodes = nodes;
    this.#choices = choices;
    this.#client = client;
  }

  operate(known: Known): void {
    const act = this.#choices.weighted<() => void>([
      [3, () => this.#snapshot(known.instances)],
      [2, () => this.#label(known)],
      [2, () => this.#useAgain(known.artifacts)],
      [1, () => this.#changeSource()],
      [1, () => this.#removeVersion(known)],
    ]);
    act();
  }

  /** What an instance can start from: a snapshot, which may be thin; one of these if there is none yet. */
  pickSnapshot<T extends Startable>(others: readonly T[]): T | Startable {
    const { view } = this.#site;
    const found = this.artifacts.flatMap((id): Startable[] => {
      const state = view.stateOf<ArtifactState>('artifact', id);
      const blobId = state?.type === 'snapshot' ? state.versions.at(-1)?.blobId : undefined;
      const replicas = view.stateOf<BlobState>('blob', blobId ?? '')?.replicas ?? {};
      const node = Object.keys(replicas)[0];
      return state?.phase === 'created' && node !== undefined ? [{ id, node }] : [];
    });
    return found.length === 0 ? this.#choices.pick(others) : this.#choices.pick(found);
  }

  #snapshot(instances: readonly string[]): void {
    const { view } = this.#site;
    const running = instances.filter((id) => {
      const state = view.stateOf<InstanceState>('instance', id);
      return state?.phase === 'created' && state.builtDisks.length > 0;
    });
    if (running.length === 0) return;
    const instanceId = this.#choices.pick(running);
    const number = ++this.#count;
    const artifactId = `snapshots-of-${instanceId}`;
    if (!this.artifacts.includes(artifactId)) this.artifacts.push(artifactId);
    const state = view.stateOf<InstanceState>('instance', instanceId);
    const base = state?.builtDisks.find(({ device }) => device === 'vda')?.blobId ?? null;
    const thin = base !== null && this.#choices.chance(THIN) ? { baseBlobId: base } : {};
    const disks = [{ device: 'vda', blobId: `snap-${number}`, artifactId, ...thin }];
    const what = { namespace: 'ns', instanceId, maxVersions: 2, disks };
    const message = { kind: 'create', ...what } as const;
    this.#client.ask(diskSnapshotRef(`snapshot-${number}`), message, () => {});
  }

  /** Points one at a blob that some artifact has. */
  #label({ artifacts }: Known): void {
    const blobs = this.#versionsOf(artifacts.map(({ id }) => id));
    if (blobs.length === 0) return;
    const blobId = this.#choices.pick(blobs);
    const id = `label-${this.#count++ % LABELS}`;
    if (!this.artifacts.includes(id)) this.artifacts.push(id);
    const named = {
      type: 'label' as const,
      name: id,
      namespace: 'ns',
      sourceUrl: `sf://label/ns/${id}`,
    };
    const message = { kind: 'found', ...named, shared: false, maxVersions: 2 } as const;
    this.#client.ask(artifactRef(id), message, (to, reply) => {
      this.#client.made(to, reply);
      const addition = { blobId, source: null, node: null };
      this.#client.ask(artifactRef(id), { kind: 'add-version', addition }, () => {});
    });
  }

  #useAgain(artifacts: readonly { readonly id: string }[]): void {
    if (artifacts.length === 0) return;
    const { id } = this.#choices.pick(artifacts);
    const source = this.#site.view.stateOf<ArtifactState>('artifact', id)?.source ?? null;
    if (source === null) return;
    const node = this.#choices.pick(this.#nodes).name;
    const blobId = `newer-${++this.#count}-of-${id}`;
    this.#client.ask(artifactRef(id), { kind: 'refresh', source, blobId, node }, () => {});
  }

  #changeSource(): void {
    const url = this.#choices.pick(URLS);
    const etag = `"${++this.#count}"`;
    for (const { machine } of this.#nodes) {
      const { web } = machine.images;
      const before = web.get(url);
      if (before !== undefined) web.set(url, { ...before, etag });
    }
  }

  #removeVersion({ artifacts }: Known): void {
    const ids = [...this.artifacts, ...artifacts.map(({ id }) => id)];
    const rich = ids.filter((id) => this.#versionsOf([id]).length > 1);
    if (rich.length === 0) return;
    const id = this.#choices.pick(rich);
    const [first] = this.#site.view.stateOf<ArtifactState>('artifact', id)?.versions ?? [];
    if (first === undefined) return;
    // Others may take the rest meanwhile: with the last one the artifact goes.
    this.#client.leaves(formatAddress(artifactRef(id)));
    this.#client.ask(artifactRef(id), { kind: 'remove-version', index: first.index }, () => {});
  }

  #versionsOf(artifactIds: readonly string[]): string[] {
    return artifactIds.flatMap((id) => {
      const state = this.#site.view.stateOf<ArtifactState>('artifact', id);
      return state?.phase === 'created' ? state.versions.map(({ blobId }) => blobId) : [];
    });
  }
}
