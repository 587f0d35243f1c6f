// Image artifacts by URL: finds the one that a namespace may use, or makes it (contract: artifacts 5.1).
//
// G1  Two requests for the same URL at the same time make one artifact: whoever comes second gets the first one's. Also
//     when they come to two nodes: the artifact's id follows from namespace and URL, and its actor is made once.
import { TroupeError, unlessGone } from '../../../actors/kernel/errors.ts';
import { canHoldBlobs } from '../../../actors/node/capacity.ts';
import { artifactRef, type ArtifactState } from '../../../actors/artifact/state.ts';
import type { ReadObject } from '../../read/collection.ts';
import { stableId } from '../objects/stable-id.ts';
import { findArtifact } from './find.ts';
import { imageNameOf, imageSource } from './image-source.ts';
import { expandShortcut } from './shortcuts.ts';
import type { Caller } from '../http/route.ts';
import { badRequest, change, type ApiServices } from '../services.ts';

const MAX_VERSIONS = 3;
/** Deleted and failed artifacts of one URL that are remembered, an hour at most. */
const MOST_ROUNDS = 1_000;
const SEEN_MS = 5_000;
const MATCHABLE: readonly ArtifactState['phase'][] = ['initial', 'created'];

export interface ImageRequest {
  readonly caller: Caller;
  readonly url: string;
  readonly namespace: string;
  readonly isShared: boolean;
  readonly trace: string;
}

export class ImageCache {
  readonly #services: ApiServices;
  /** Being made, by namespace and URL. */
  readonly #pending = new Map<string, Promise<string>>();

  constructor(services: ApiServices) {
    this.#services = services;
  }

  /** The id of the artifact for the URL; null: there is none yet. Error: 400 when several could be meant. */
  find(namespace: string, url: string): string | null {
    return findArtifact(this.#services, { type: 'image', url, namespace })?.id ?? null;
  }

  /** Finds or makes the artifact; resolves to its id at once, while the fetch goes on. Errors: 400. */
  async ensure(request: ImageRequest): Promise<string> {
    const { namespace, url } = request;
    const known = findArtifact(this.#services, { type: 'image', url, namespace });
    if (known !== undefined) {
      await this.#lookAgain(known, request);
      return known.id;
    }
    const key = JSON.stringify([namespace, url]);
    const pending = this.#pending.get(key) ?? this.#make(request);
    this.#pending.set(key, pending);
    try {
      return await pending;
    } finally {
      this.#pending.delete(key);
    }
  }

  /** What a server, or the node whose file it is, has may be newer than what was fetched. */
  async #lookAgain(
    { id, state }: ReadObject<ArtifactState>,
    { url, trace }: ImageRequest,
  ): Promise<void> {
    const { random, imageShortcuts } = this.#services;
    const known = state.source;
    if (state.phase !== 'created' || (known?.kind !== 'url' && known?.kind !== 'file')) return;
    // Its bytes cannot be others.
    if (known.checksum !== undefined) return;
    // The table may have another address for a short name by now, or none.
    const address = known.kind === 'url' ? expandShortcut(imageShortcuts, url) : null;
    const source = address === null ? known : { kind: 'url' as const, url: address };
    const node = source.kind === 'file' ? source.node : undefined;
    const [blobId, asking] = [random.uuid(), node ?? this.#fetchingNode(source.kind)];
    const message = { kind: 'refresh', source, blobId, node: asking } as const;
    await unlessGone(change(this.#services, artifactRef(id), message, trace));
  }

  /** This one, where a file would be; else, if it keeps no images, the first that is there and does. Error: 507. */
  #fetchingNode(kind: 'url' | 'file'): string {
    const { node, read, members } = this.#services;
    const own = read.nodes.get(node)?.state;
    if (kind === 'file' || own === undefined || canHoldBlobs(own)) return node;
    const there = new Set(members().map((one) => one.node));
    const others = [...read.nodes.all()].filter(
      ({ id, state }) => there.has(id) && canHoldBlobs(state),
    );
    const [first] = others.map(({ id }) => id).toSorted();
    if (first !== undefined) return first;
    const message = 'no node of the cluster keeps images: give one the role storage (--roles)';
    throw new TroupeError('scheduler/no-node', message);
  }

  async #make(request: ImageRequest): Promise<string> {
    const { read } = this.#services;
    for (let round = 0; round < MOST_ROUNDS; round++) {
      const id = stableId([request.namespace, request.url, round]);
      // An earlier one, which was deleted or has failed, has had its turn.
      if (read.artifacts.get(id) !== undefined) continue;
      await this.#create(id, request);
      // Another node's, perhaps, that our copy does not show yet.
      const made = await read.when(read.artifacts, id, () => true, SEEN_MS);
      if (MATCHABLE.includes(made.state.phase)) return id;
    }
    throw badRequest(
      `${request.url} was cached and deleted too often of late; try again in an hour`,
    );
  }

  async #create(
    id: string,
    { caller, url, namespace, isShared, trace }: ImageRequest,
  ): Promise<void> {
    const { random } = this.#services;
    const found = imageSource(url, caller, this.#services.imageShortcuts);
    const node = this.#fetchingNode(found.kind);
    const source = found.kind === 'file' ? { ...found, node } : found;
    const message = {
      kind: 'create',
      type: 'image',
      name: imageNameOf(url),
      namespace,
      sourceUrl: url,
      source,
      shared: isShared,
      maxVersions: MAX_VERSIONS,
      blobId: random.uuid(),
      node,
    } as const;
    await change(this.#services, artifactRef(id), message, trace);
  }
}
