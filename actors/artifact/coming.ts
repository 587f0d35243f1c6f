// What an artifact does to have its bytes fetched: looks who else fetches them (origins.ts), and makes the blob, or uses it.
import { codeOf, TroupeError, unlessGone } from '../kernel/errors.ts';
import { parseAddress } from '../kernel/kind.ts';
import type { Claims, EffectContext } from '../kernel/ports.ts';
import { received, nullable } from '../kernel/schema.ts';
import { ORIGIN, originOf } from '../blob/origin.ts';
import { blobRef, Content, decodeHolding, type Source } from '../blob/state.ts';
import { machineRef, type MachineMessage } from '../node/machine-message.ts';
import { pendingOf } from './origins.ts';
import { blobsOf } from './versions.ts';
import {
  SourceVerdict,
  type ArtifactMessage,
  type ArtifactState,
  type SourceMarks,
} from './state.ts';

type Context = EffectContext<ArtifactMessage>;

/** Longer than the machine tries. */
export const CHECK_MS = 40_000;
/** Others that claim the address in turn. */
const MOST_HOLDERS = 3;

const decodeKnown = received('blob content', nullable(Content));
const decodeVerdict = received('source verdict', SourceVerdict);

const THERE = {
  kind: 'blob-changed',
  phase: 'created',
  failure: null,
  virtualSizeBytes: 0,
} as const;

/** Of a blob that knows us already, and tells nothing. */
export function alreadyThere(blobId: string, sha512?: string): ArtifactMessage {
  return { ...THERE, blobId, ...(sha512 === undefined ? {} : { sha512 }) };
}

/** Claims the address for the blob that is to fetch from it, unless another one does that, or has what is there now. */
export async function findOrigin(
  state: ArtifactState,
  claims: Claims,
  context: Context,
): Promise<ArtifactMessage | undefined> {
  const blobId = context.key;
  const wanted = pendingOf(state).find((one) => one.blobId === blobId);
  const origin = originOf(wanted?.source ?? null);
  if (wanted?.source?.kind !== 'url' || wanted.node === null || origin === null) {
    return { kind: 'origin-found', blobId, otherId: null };
  }
  const { source, node } = wanted;
  for (let round = 0; round < MOST_HOLDERS; round++) {
    if (await claims.claim(ORIGIN, origin, blobRef(blobId))) {
      // Deleted meanwhile, it has given back already what it had claimed by then.
      if (context.signal.aborted) await claims.release(ORIGIN, origin, blobRef(blobId));
      return { kind: 'origin-found', blobId, otherId: null };
    }
    const other = parseAddress((await claims.holder(ORIGIN, origin)) ?? '');
    if (other === undefined) continue;
    // Its source, asked a moment ago, has something newer than the artifact's own.
    const isOld = blobsOf(state).includes(other.id);
    if (!isOld && (await isUsable(other.id, { source, node }, context))) {
      return { kind: 'origin-found', blobId, otherId: other.id };
    }
    await claims.release(ORIGIN, origin, blobRef(other.id));
  }
  throw new TroupeError('object/not-ready', 'others claim its address in turn');
}

interface Origin {
  readonly source: Extract<Source, { kind: 'url' }>;
  readonly node: string;
}

/** It is on its way, or there and what the server has now. */
async function isUsable(
  otherId: string,
  { source, node }: Origin,
  context: Context,
): Promise<boolean> {
  const holding = await holdingOf(otherId, context);
  if (holding === null) return true;
  if (holding.nodes.length === 0) return false;
  // Its bytes cannot be others.
  if (source.checksum !== undefined) return true;
  const { verdict } = await askSource(source, { node, known: holding.content }, context);
  return verdict === 'same';
}

/** Null: it is not there, or not yet. */
async function holdingOf(blobId: string, context: Context) {
  try {
    return decodeHolding(await context.ask(blobRef(blobId), { kind: 'holders', node: '' }));
  } catch (error) {
    const code = codeOf(error);
    if (code === 'image/missing' || code === 'object/not-found') return null;
    throw error;
  }
}

type Asked = Extract<Source, { kind: 'url' | 'file' }>;

/** Whether a source still gives what it gave, as a node finds when it asks now. */
export async function askSource(
  source: Asked,
  { node, known }: { readonly node: string; readonly known: SourceMarks | null },
  context: Context,
): Promise<SourceVerdict> {
  return decodeVerdict(await context.ask(machineRef(node), question(source, known), CHECK_MS));
}

export async function contentOf(blobId: string, context: Context): Promise<Content | null> {
  return decodeKnown(await context.ask(blobRef(blobId), { kind: 'describe' }));
}

function question(source: Asked, known: SourceMarks | null): MachineMessage {
  const etag = known?.etag ?? null;
  if (source.kind === 'file') return { kind: 'check-file', path: source.path, etag };
  const lastModified = known?.lastModified ?? null;
  const sizeBytes = known?.sourceSizeBytes ?? 0;
  return { kind: 'check-source', url: source.url, etag, lastModified, sizeBytes };
}

/** Makes the blob, or uses it when another artifact has made it. */
export async function makeBlob(
  { blobId, source, node }: { blobId: string; source: Source; node: string },
  claims: Claims,
  context: Context,
): Promise<ArtifactMessage | undefined> {
  const user = `artifact/${context.self.id}`;
  const create = { kind: 'create', source, node, user } as const;
  try {
    // The blob of a daemon of an older version does not say its phase, nor counts us when another has made it.
    const phase =
      (await context.ask(blobRef(blobId), create)) ??
      (await context.ask(blobRef(blobId), { kind: 'use', user }));
    if (phase !== 'created') return undefined;
  } catch (error) {
    const origin = originOf(source);
    if (origin === null || codeOf(error) !== 'object/wrong-phase') throw error;
    await claims.release(ORIGIN, origin, blobRef(blobId));
    return { kind: 'origin-gone', blobId, insteadId: context.random.uuid() };
  }
  return alreadyThere(blobId, (await contentOf(blobId, context))?.sha512);
}

/** Gives back one blob, and tells what it was; if it was never made, it is claimed no longer. */
export async function releaseVersion(
  { source }: ArtifactState,
  claims: Claims,
  context: Context,
): Promise<ArtifactMessage> {
  const [at = '', blobId = ''] = context.key.split(' ');
  const origin = originOf(source);
  const content = await unlessGone(contentOf(blobId, context));
  if (!(await unuse(blobId, context)) && origin !== null) {
    await claims.release(ORIGIN, origin, blobRef(blobId));
  }
  const released = { kind: 'version-released', blobId, at: Number(at) } as const;
  return content
    ? { ...released, came: { sha512: content.sha512, marks: marksOf(content) } }
    : released;
}

function marksOf({ etag, lastModified, sourceSizeBytes }: Content): SourceMarks {
  return { etag, lastModified, sourceSizeBytes };
}

/** Gives back all that it uses; what was never made is claimed no longer. */
export async function releaseBlobs(
  state: ArtifactState,
  claims: Claims,
  context: Context,
): Promise<ArtifactMessage> {
  const gone = await Promise.all(
    blobsOf(state).map(async (blobId) => ((await unuse(blobId, context)) ? [] : [blobId])),
  );
  for (const { blobId, source, node } of pendingOf(state)) {
    const origin = originOf(source);
    if (origin !== null && gone.flat().includes(blobId)) {
      await claims.release(ORIGIN, origin, blobRef(blobId));
    }
    // What has not become a blob by now never will; a node that does not hear it clears it away by age (spool.ts).
    if (source?.kind !== 'spool' || node === null) continue;
    context.tell(machineRef(node), { kind: 'spool-remove', id: source.id });
  }
  return { kind: 'released' };
}

/** False: there is no such blob. */
async function unuse(blobId: string, context: Context): Promise<boolean> {
  const user = `artifact/${context.self.id}`;
  const asked = context.ask(blobRef(blobId), { kind: 'unuse', user });
  return (await unlessGone(asked)) !== undefined;
}
