// What an artifact does to others: makes and gives back its blobs, and tells the instances that wait.
import { codeOf, TroupeError, unlessGone } from '../kernel/errors.ts';
import { parseAddress } from '../kernel/kind.ts';
import { failure, type Failure } from '../kernel/object.ts';
import type { Claims, EffectContext, Performers } from '../kernel/ports.ts';
import { decoder, nullable } from '../kernel/schema.ts';
import { blobRef, Content, CONTENT, type Source } from '../blob/state.ts';
import { instanceRef } from '../instance/state.ts';
import { machineRef, type MachineMessage } from '../node/machine-message.ts';
import { blobsOf } from './versions.ts';
import type { ArtifactEffect } from './artifact.ts';
import { SourceVerdict, type ArtifactMessage, type ArtifactState } from './state.ts';

type Context = EffectContext<ArtifactMessage>;

const decodeKnown = decoder('blob content', nullable(Content), 'actor/bad-message');
const decodeVerdict = decoder('source verdict', SourceVerdict, 'actor/bad-message');

const THERE = {
  kind: 'blob-changed',
  phase: 'created',
  failure: null,
  virtualSizeBytes: 0,
} as const;

export function artifactPerformers(
  claims: Claims,
): Performers<ArtifactState, ArtifactMessage, ArtifactEffect> {
  return {
    'fetch-version': async (state, context) => {
      const { fetching, source } = state;
      if (fetching === null || source === null) return undefined;
      const user = `artifact/${context.self.id}`;
      const { blobId, node } = fetching;
      await context.ask(blobRef(blobId), { kind: 'create', source, node, user });
      return undefined;
    },
    'add-version': async (state, context) => {
      const addition = state.adding.find(({ blobId }) => blobId === context.key);
      if (addition === undefined) return undefined;
      const user = `artifact/${context.self.id}`;
      const { blobId, source, node } = addition;
      if (source === null || node === null) {
        const phase = await context.ask(blobRef(blobId), { kind: 'use', user });
        // One that knows us already tells nothing: we may have had it as another version.
        if (phase === 'created') return { ...THERE, blobId };
      } else {
        await context.ask(blobRef(blobId), { kind: 'create', source, node, user });
      }
      return undefined;
    },
    'find-twin': (state, context) => findTwin(state, claims, context),
    'hold-twin': (state, context) => holdTwin(state, claims, context),
    'check-source': checkSource,
    'release-version': async (_state, context) => {
      const [at = '', blobId = ''] = context.key.split(' ');
      await unuse(blobId, context);
      return { kind: 'version-released', blobId, at: Number(at) };
    },
    'tell-waiters': async (state, context) => {
      const { waiters } = state;
      await Promise.all(waiters.map((waiter) => tellWaiter(waiter, state, context)));
      return { kind: 'waiters-told', waiters };
    },
    'release-blobs': async (state, context) => {
      await Promise.all(blobsOf(state).map((blobId) => unuse(blobId, context)));
      // What has not become a blob by now never will; a node that does not hear it clears it away by age (spool.ts).
      for (const { source, node } of state.adding) {
        if (source?.kind !== 'spool' || node === null) continue;
        context.tell(machineRef(node), { kind: 'spool-remove', id: source.id });
      }
      return { kind: 'released' };
    },
    forget: () => Promise.resolve({ kind: 'forgotten' }),
  };
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

/** Longer than the machine tries. */
const CHECK_MS = 40_000;

async function checkSource(state: ArtifactState, context: Context): Promise<ArtifactMessage> {
  const { checking, checks: check } = state;
  const newest = state.versions.at(-1);
  const source = checking?.source;
  if (checking === null || newest === undefined || !isAsked(source)) {
    const outcome = { verdict: 'unknown', reason: 'there is nothing to compare' } as const;
    return { kind: 'source-checked', check, outcome };
  }
  const known = decodeKnown(await context.ask(blobRef(newest.blobId), { kind: 'describe' }));
  const message = question(source, known);
  const reply = await context.ask(machineRef(checking.node), message, CHECK_MS);
  return { kind: 'source-checked', check, outcome: decodeVerdict(reply) };
}

type Asked = Extract<Source, { kind: 'url' | 'file' }>;

function isAsked(source: Source | undefined): source is Asked {
  return source?.kind === 'url' || source?.kind === 'file';
}

/** What its machine is asked: whether it still gives what it gave. */
function question(source: Asked, known: Content | null): MachineMessage {
  const etag = known?.etag ?? null;
  if (source.kind === 'file') return { kind: 'check-file', path: source.path, etag };
  const lastModified = known?.lastModified ?? null;
  const sizeBytes = known?.sourceSizeBytes ?? 0;
  return { kind: 'check-source', url: source.url, etag, lastModified, sizeBytes };
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

async function unuse(blobId: string, context: Context): Promise<void> {
  const user = `artifact/${context.self.id}`;
  await unlessGone(context.ask(blobRef(blobId), { kind: 'unuse', user }));
}
