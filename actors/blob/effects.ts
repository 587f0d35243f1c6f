// What a blob does to others: has nodes fetch and remove replicas, and tells its users how it went.
import { TroupeError, unlessGone } from '../kernel/errors.ts';
import { parseAddress } from '../kernel/kind.ts';
import type { EffectContext, Performers } from '../kernel/ports.ts';
import { decoder } from '../kernel/schema.ts';
import { artifactRef } from '../artifact/state.ts';
import { instanceRef } from '../instance/state.ts';
import { want } from '../node/executor-message.ts';
import type { BlobEffect } from './blob.ts';
import { Content, type BlobMessage, type BlobState } from './state.ts';

type Context = EffectContext<BlobMessage>;

const decodeContent = decoder('replica report', Content, 'actor/bad-message');

export function blobPerformers(options: {
  /** Largest image accepted, bytes. */
  readonly maxSizeBytes: number;
  /** One attempt's patience, ms; what was downloaded is kept for the next. */
  readonly fetchTimeoutMs: number;
}): Performers<BlobState, BlobMessage, BlobEffect> {
  return {
    fetch: async (state, context) => {
      const { maxSizeBytes, fetchTimeoutMs } = options;
      const spec = { source: state.source, maxSizeBytes, sha512: null };
      const node = state.nodes[0] ?? '';
      const { generation } = state;
      const wish = {
        node,
        resource: 'replica',
        generation,
        spec,
        timeoutMs: fetchTimeoutMs,
      } as const;
      try {
        return { kind: 'fetched', content: decodeContent(await want(context, wish)) };
      } catch (error) {
        throw neverReached(state, context.attempt, error) ?? error;
      }
    },
    'tell-users': async (state, context) => {
      const told = state.users.map(async (user) => {
        return (await isUsedBy(user, state, context)) ? [] : [user];
      });
      const users = (await Promise.all(told)).flat();
      return users.length > 0 ? { kind: 'users-gone', users } : undefined;
    },
    'remove-replicas': async (state, context) => {
      const { generation } = state;
      await Promise.all(
        state.nodes.map((node) =>
          want(context, { node, resource: 'replica', generation, spec: null }),
        ),
      );
      return { kind: 'replicas-removed', generation };
    },
    forget: () => Promise.resolve({ kind: 'forgotten' }),
  };
}

/** A download that has begun is worth resuming for long; an address that never answered is most likely wrong. */
const FIRST_TRIES = 5;

function neverReached(state: BlobState, attempt: number, error: unknown): TroupeError | undefined {
  const isUnreachable = error instanceof TroupeError && error.code === 'image/unreachable';
  const hasBegun = (state.progress.percent ?? 0) > 0;
  if (!isUnreachable || hasBegun || attempt < FIRST_TRIES) return undefined;
  const reason = `${error.message}; tried ${attempt} times: check the address, and that this machine reaches it`;
  return new TroupeError('image/not-fetched', reason, error.detail, error);
}

/** Tells a user; false when it does not know the blob, or does not exist. */
async function isUsedBy(user: string, state: BlobState, context: Context): Promise<boolean> {
  const address = parseAddress(user);
  const message = {
    kind: 'blob-changed',
    blobId: context.self.id,
    phase: state.phase === 'error' ? 'error' : 'created',
    failure: state.failure,
    virtualSizeBytes: state.content?.virtualSizeBytes ?? 0,
  } as const;
  if (address?.kind === 'artifact')
    return (await unlessGone(context.ask(artifactRef(address.id), message))) === true;
  if (address?.kind === 'instance')
    return (await unlessGone(context.ask(instanceRef(address.id), message))) === true;
  return false;
}
