// What an artifact does to others: makes and gives back its blobs, and tells the instances that wait.
import { codeOf, TroupeError, unlessGone } from '../kernel/errors.ts';
import { parseAddress } from '../kernel/kind.ts';
import { failure, type Failure } from '../kernel/object.ts';
import type { Claims, EffectContext, Performers } from '../kernel/ports.ts';
import { blobRef, CONTENT, type Source } from '../blob/state.ts';
import { instanceRef } from '../instance/state.ts';
import {
  alreadyThere,
  askSource,
  contentOf,
  findOrigin,
  makeBlob,
  releaseBlobs,
  releaseVersion,
} from './coming.ts';
import type { ArtifactEffect } from './wanted.ts';
import type { ArtifactMessage, ArtifactState } from './state.ts';

type Context = EffectContext<ArtifactMessage>;

export function artifactPerformers(
  claims: Claims,
): Performers<ArtifactState, ArtifactMessage, ArtifactEffect> {
  return {
    'fetch-version': async (state, context) => {
      const { fetching, source } = state;
      if (fetching === null || source === null) return undefined;
      const { blobId, node } = fetching;
      return makeBlob({ blobId, source, node }, claims, context);
    },
    'add-version': (state, context) => addVersion(state, claims, context),
    'find-origin': (state, context) => findOrigin(state, claims, context),
    'find-twin': (state, context) => findTwin(state, claims, context),
    'hold-twin': (state, context) => holdTwin(state, claims, context),
    'check-source': checkSource,
    'release-version': (state, context) => releaseVersion(state, claims, context),
    'tell-waiters': async (state, context) => {
      const { waiters } = state;
      await Promise.all(waiters.map((waiter) => tellWaiter(waiter, state, context)));
      return { kind: 'waiters-told', waiters };
    },
    'release-blobs': (state, context) => releaseBlobs(state, claims, context),
    forget: () => Promise.resolve({ kind: 'forgotten' }),
  };
}

async function addVersion(
  state: ArtifactState,
  claims: Claims,
  context: Context,
): Promise<ArtifactMessage | undefined> {
  const addition = state.adding.find(({ blobId }) => blobId === context.key);
  if (addition === undefined) return undefined;
  const { blobId, source, node } = addition;
  if (source !== null && node !== null) return makeBlob({ blobId, source, node }, claims, context);
  const user = `artifact/${context.self.id}`;
  const phase = await context.ask(blobRef(blobId), { kind: 'use', user });
  // One that knows us already tells nothing: we may have had it as another version.
  return phase === 'created' ? alreadyThere(blobId) : undefined;
}

/** Claims the bytes for the blob that they came as; told of the one that had them first if there is one. */
async function findTwin(
  { settling }: ArtifactState,
  claims: Claims,
  context: Context,
): Promise<ArtifactMessage | undefined> {
  const blobId = context.key;
  const { sha512 } = settling.find((one) => one.blobId === blobId) ?? {};
  if (sha512 === undefined) return undefined;
  if (await claims.claim(CONTENT, sha512, blobRef(blobId))) {
    return { kind: 'twin-found', blobId, twinId: null };
  }
  const holder = parseAddress((await claims.holder(CONTENT, sha512)) ?? '');
  if (holder === undefined) throw new TroupeError('object/not-ready', 'its claim has just gone');
  return { kind: 'twin-found', blobId, twinId: holder.id };
}

/** One that is being deleted, or never became anything, is no twin. */
async function holdTwin(
  { settling }: ArtifactState,
  claims: Claims,
  context: Context,
): Promise<ArtifactMessage> {
  const [blobId = '', twinId = ''] = context.key.split(' ');
  const user = `artifact/${context.self.id}`;
  try {
    const phase = await context.ask(blobRef(twinId), { kind: 'use', user });
    return { kind: 'twin-held', blobId, isHeld: phase === 'created' };
  } catch (error) {
    const code = codeOf(error);
    if (code !== 'object/wrong-phase' && code !== 'object/not-found') throw error;
    const { sha512 } = settling.find((one) => one.blobId === blobId) ?? {};
    // Of a blob that is no more: made by somebody who was held up until after its end.
    if (code === 'object/not-found' && sha512 !== undefined) {
      await claims.release(CONTENT, sha512, blobRef(twinId));
    }
    return { kind: 'twin-held', blobId, isHeld: false };
  }
}

async function checkSource(state: ArtifactState, context: Context): Promise<ArtifactMessage> {
  const { checking, checks: check } = state;
  const newest = state.versions.at(-1);
  const source = checking?.source;
  if (checking === null || newest === undefined || !isAsked(source)) {
    const outcome = { verdict: 'unknown', reason: 'there is nothing to compare' } as const;
    return { kind: 'source-checked', check, outcome };
  }
  const known = newest.marks ?? (await contentOf(newest.blobId, context));
  const outcome = await askSource(source, { node: checking.node, known }, context);
  return { kind: 'source-checked', check, outcome };
}

function isAsked(source: Source | undefined): source is Extract<Source, { kind: 'url' | 'file' }> {
  return source?.kind === 'url' || source?.kind === 'file';
}

async function tellWaiter(waiter: string, state: ArtifactState, context: Context): Promise<void> {
  const address = parseAddress(waiter);
  if (address?.kind !== 'instance') return;
  const artifactId = context.self.id;
  const message = { kind: 'artifact-changed', artifactId, ...newest(state) } as const;
  await unlessGone(context.ask(instanceRef(address.id), message));
}

/** The version to use, or why there is none. */
function newest(state: ArtifactState): { blobId: string | null; failure: Failure | null } {
  if (state.phase === 'delete-wait' || state.phase === 'deleted') {
    return {
      blobId: null,
      failure: failure('image/missing', 'the artifact was deleted; ask for the image again'),
    };
  }
  const blobId = state.versions.at(-1)?.blobId ?? null;
  return { blobId, failure: blobId === null ? state.failure : null };
}
