// Finding the artifact that a URL and a type stand for, or making it (contract: artifacts 5.1).
import {
  artifactRef,
  type ArtifactMessage,
  type ArtifactState,
} from '../../../actors/artifact/state.ts';
import { SYSTEM } from '../../../actors/namespace/state.ts';
import type { ReadObject } from '../../read/collection.ts';
import { isTrustedNamespace } from '../identity/access.ts';
import { stableId } from '../objects/stable-id.ts';
import { badRequest, change, type ApiServices } from '../services.ts';

/** In these an artifact still stands for its URL. */
const MATCHABLE: readonly ArtifactState['phase'][] = ['initial', 'created'];
/** These too, for what comes to nothing at first: the next one tries again with it. */
const isMatchable = ({ type, phase }: ArtifactState) =>
  MATCHABLE.includes(phase) || (type === 'snapshot' && phase === 'error');
/** How often an artifact of the same URL may have been deleted lately. */
const MOST_ROUNDS = 200;
const SEEN_MS = 5_000;

export interface Sought {
  readonly type: ArtifactState['type'];
  readonly url: string;
  /** That is to use it, and that it is made for. */
  readonly namespace: string;
  /** Of several, the one that this owns is meant; default: `namespace`. */
  readonly preferred?: string;
}

/** Undefined: there is none, or several that others have fetched. Error: 400 when several may be meant. */
export function findArtifact(
  services: ApiServices,
  { type, url, namespace, preferred = namespace }: Sought,
): ReadObject<ArtifactState> | undefined {
  const candidates = services.read.artifacts
    .by('sourceUrl', url)
    .filter(
      (one) =>
        one.state.type === type && isMatchable(one.state) && mayUse(services, namespace, one.state),
    );
  const [first, ...others] = candidates;
  if (others.length === 0) return first;
  for (const owner of [preferred, namespace]) {
    const own = candidates.filter(({ state }) => state.namespace === owner);
    if (own.length === 1) return own[0];
  }
  // An address that several others have fetched: it gets an image of its own, as if it saw none of theirs.
  if (type === 'image' && !url.startsWith('sf://')) return undefined;
  throw badRequest(`several artifacts have the source URL ${url}: name one by its UUID`);
}

export interface NewArtifact extends Sought {
  readonly name: string;
  readonly maxVersions: number;
}

/** The same one, however many ask at once, on whichever nodes. */
export async function ensureArtifact(
  services: ApiServices,
  asked: NewArtifact,
  trace: string,
): Promise<ReadObject<ArtifactState>> {
  const found = findArtifact(services, asked);
  if (found !== undefined) return found;
  const { type, url: sourceUrl, namespace, name, maxVersions } = asked;
  const named = { type, name, namespace, sourceUrl, shared: false, maxVersions };
  const message = { kind: 'found', ...named } as const;
  for (let from = 0; ;) {
    const { id, round } = freeId(services, asked, from);
    const made = await makeArtifact(services, id, message, trace);
    if (isMatchable(made.state)) return made;
    from = round + 1; // Deleted meanwhile.
  }
}

/** Of the artifact that there is, or of the one that is to be made. Errors as of findArtifact. */
export function artifactIdFor(services: ApiServices, asked: Sought): string {
  return findArtifact(services, asked)?.id ?? freeId(services, asked, 0).id;
}

type Found = Extract<ArtifactMessage, { kind: 'found' }>;

/** Resolves once it can be read. */
export async function makeArtifact(
  services: ApiServices,
  id: string,
  message: Found,
  trace: string,
): Promise<ReadObject<ArtifactState>> {
  const { read } = services;
  await change(services, artifactRef(id), message, trace);
  return await read.when(read.artifacts, id, () => true, SEEN_MS);
}

/** Earlier ones, which were deleted or have failed, have had their turn. */
function freeId(
  { read }: ApiServices,
  { namespace, type, url }: Sought,
  from: number,
): { readonly id: string; readonly round: number } {
  for (let round = from; round < MOST_ROUNDS; round++) {
    const id = stableId([namespace, type, url, round]);
    if (read.artifacts.get(id) === undefined) return { id, round };
  }
  throw badRequest(`${url} was made and deleted too often of late; try again in an hour`);
}

/** Its own, shared ones, those of namespaces that trust it; for system all. */
export function mayUse(services: ApiServices, namespace: string, state: ArtifactState): boolean {
  if (state.shared || namespace === SYSTEM) return true;
  return isTrustedNamespace(services, namespace, state.namespace);
}
