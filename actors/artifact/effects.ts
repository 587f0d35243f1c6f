// What an artifact does to others: makes and gives back its blobs, and tells the instances that wait.
import { unlessGone } from '../kernel/errors.ts';
import { parseAddress } from '../kernel/kind.ts';
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
      const told = await Promise.all(state.waiters.map((one) => tellWaiter(one, state, context)));
      for (const waiter of told) context.report({ kind: 'await-done', waiter });
      return undefined;
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

async function tellWaiter(waiter: string, state: ArtifactState, context: Context): Promise<string> {
  const address = parseAddress(waiter);
  if (address?.kind !== 'instance') return waiter;
  const blobId = state.versions.at(-1)?.blobId ?? null;
  const failure = blobId === null ? state.failure : null;
  const message = {
    kind: 'artifact-changed',
    artifactId: context.self.id,
    blobId,
    failure,
  } as const;
  await unlessGone(context.ask(instanceRef(address.id), message));
  return waiter;
}

async function unuse(blobId: string, context: Context): Promise<void> {
  const user = `artifact/${context.self.id}`;
  await unlessGone(context.ask(blobRef(blobId), { kind: 'unuse', user }));
}
