// What an artifact does to others: makes and gives back its blobs, and tells the instances that wait.
import { unlessGone } from '../kernel/errors.ts';
import { parseAddress } from '../kernel/kind.ts';
import { failure, type Failure } from '../kernel/object.ts';
import type { EffectContext, Performers } from '../kernel/ports.ts';
import { blobRef } from '../blob/state.ts';
import { instanceRef } from '../instance/state.ts';
import type { ArtifactEffect } from './artifact.ts';
import type { ArtifactMessage, ArtifactState } from './state.ts';

type Context = EffectContext<ArtifactMessage>;

export function artifactPerformers(): Performers<ArtifactState, ArtifactMessage, ArtifactEffect> {
  return {
    'fetch-version': async (state, context) => {
      const { fetching, source } = state;
      if (fetching === null || source === null) return undefined;
      const user = `artifact/${context.self.id}`;
      const { blobId, node } = fetching;
      await context.ask(blobRef(blobId), { kind: 'create', source, node, user });
      return undefined;
    },
    'tell-waiters': async (state, context) => {
      const { waiters } = state;
      await Promise.all(waiters.map((waiter) => tellWaiter(waiter, state, context)));
      return { kind: 'waiters-told', waiters };
    },
    'release-blobs': async (state, context) => {
      const blobIds = state.versions.map((version) => version.blobId);
      if (state.fetching !== null) blobIds.push(state.fetching.blobId);
      await Promise.all(blobIds.map((blobId) => unuse(blobId, context)));
      return { kind: 'released' };
    },
    forget: () => Promise.resolve({ kind: 'forgotten' }),
  };
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
    return { blobId: null, failure: failure('image/missing', 'the artifact was deleted') };
  }
  const blobId = state.versions.at(-1)?.blobId ?? null;
  return { blobId, failure: blobId === null ? state.failure : null };
}

async function unuse(blobId: string, context: Context): Promise<void> {
  const user = `artifact/${context.self.id}`;
  await unlessGone(context.ask(blobRef(blobId), { kind: 'unuse', user }));
}
