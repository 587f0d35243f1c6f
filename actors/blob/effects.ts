// What a blob does to others: has nodes fetch and remove replicas, and tells its users how it went.
import { codeOf, reasonOf, TroupeError, unlessGone, type ErrorCode } from '../kernel/errors.ts';
import { parseAddress } from '../kernel/kind.ts';
import type { Claims, EffectContext, Performers } from '../kernel/ports.ts';
import { received, nullable, Type } from '../kernel/schema.ts';
import { agentOperationRef } from '../agent-operation/state.ts';
import { artifactRef } from '../artifact/state.ts';
import { instanceRef } from '../instance/state.ts';
import { want } from '../node/executor-message.ts';
import { machineRef } from '../node/machine-message.ts';
import type { BlobEffect } from './wanted.ts';
import { copyingBeside, sourcesFor, type NodeView } from './copies.ts';
import { parentOf } from './parent.ts';
import { describe, giveBackRelated, relatedPerformers } from './related.ts';
import { fetcherOf } from './fetcher.ts';
import { progressOf, progressUsers } from './progress.ts';
import { ORIGIN, originOf } from './origin.ts';
import { isUrgent, nodeOfKey } from './replicas.ts';
import { blobRef, Content, CONTENT, type BlobMessage, type BlobState } from './state.ts';
import { toBeTold, type Told } from './told.ts';

type Context = EffectContext<BlobMessage>;

const decodeContent = received('replica report', Content);

export function blobPerformers(options: {
  /** Largest image accepted, bytes. */
  readonly maxSizeBytes: number;
  /** One attempt's patience, ms; what was downloaded is kept for the next. */
  readonly fetchTimeoutMs: number;
  /** How many nodes are to keep the blob, if there are as many. */
  readonly copies: (state: BlobState) => number;
  readonly claims: Pick<Claims, 'release'>;
  /** How long a transcode is kept that no disk uses. */
  readonly transcodeIdleMs: number;
  /** How long a node that is away is waited for. */
  readonly patienceMs: number;
  /** The nodes that can hold blobs, as this daemon sees them now. */
  readonly nodes: () => readonly NodeView[];
}): Performers<BlobState, BlobMessage, BlobEffect> {
  return {
    ...relatedPerformers(options),
    fetch: (state, context) => fetch(state, context, options),
    'place-copies': (state) =>
      Promise.resolve({
        kind: 'nodes-changed',
        nodes: [...options.nodes()],
        copies: options.copies(state),
        patienceMs: options.patienceMs,
      }),
    copy: (state, context) => copy(state, context, options),
    'remove-copy': removeCopy,
    describe,
    'tell-users': async (state, context) => {
      const told = toBeTold(state).map(async (one) => {
        // It is told once the replica is there, as if it had never been willing to begin without.
        if (one.isOnItsWay === true && !(await canReadThrough(one.user, state, context))) return [];
        return (await isUsedBy(one, state, context)) ? [] : [one.user];
      });
      const users = (await Promise.all(told)).flat();
      return users.length > 0 ? { kind: 'users-gone', users } : undefined;
    },
    'tell-progress': async (state, context) => {
      const users = progressUsers(state);
      await Promise.all(users.map((user) => tellProgress(user, state, context)));
      return undefined;
    },
    'remove-replicas': async (state, context) => {
      const outcome = await removeReplicas(state, context);
      // Whoever finds the claim until then is refused the blob.
      if (state.content !== null) {
        await options.claims.release(CONTENT, state.content.sha512, context.self);
      }
      const origin = originOf(state.source);
      if (origin !== null) await options.claims.release(ORIGIN, origin, context.self);
      return outcome;
    },
    forget: () => Promise.resolve({ kind: 'forgotten' }),
  };
}

async function fetch(
  state: BlobState,
  context: Context,
  options: { readonly maxSizeBytes: number; readonly fetchTimeoutMs: number },
): Promise<BlobMessage> {
  const { maxSizeBytes, fetchTimeoutMs } = options;
  const spec = { source: state.source, maxSizeBytes, sha512: null };
  const node = fetcherOf(state) ?? '';
  const { generation } = state;
  const wish = {
    node,
    resource: 'replica',
    generation,
    spec,
    timeoutMs: fetchTimeoutMs,
  } as const;
  try {
    return { kind: 'fetched', node, content: decodeContent(await want(context, wish)) };
  } catch (error) {
    const isFull = codeOf(error) === 'host/disk-full';
    if (isFull && context.attempt >= FULL_TRIES)
      return { kind: 'no-room', node, reason: reasonOf(error) };
    throw neverReached(state, context.attempt, error) ?? error;
  }
}

const decodeWaiters = received('waiters', nullable(Type.Array(Type.String())));

/** An artifact says who waits for it: they are told as well. */
async function tellProgress(user: string, state: BlobState, context: Context): Promise<void> {
  const address = parseAddress(user);
  const progress = { blobId: context.self.id, progress: progressOf(state) };
  const message = { kind: 'blob-progressed', ...progress } as const;
  const tellInstance = (id: string) => unlessGone(context.ask(instanceRef(id), message));
  if (address?.kind === 'instance') await tellInstance(address.id);
  if (address?.kind !== 'artifact') return;
  const waiters = decodeWaiters(
    (await unlessGone(context.ask(artifactRef(address.id), message))) ?? null,
  );
  const waiting = (waiters ?? []).flatMap((waiter) => parseAddress(waiter) ?? []);
  await Promise.all(
    waiting.flatMap(({ kind, id }) => (kind === 'instance' ? [tellInstance(id)] : [])),
  );
}

/** A download that has begun is worth resuming for long; an address that never answered is most likely wrong. */
const FIRST_TRIES = 5;
/** A disk that is full does not empty itself while somebody waits. */
const FULL_TRIES = 3;
/** Of a copy on one node, by what is in its way. */
const TARGET_TRIES: Partial<Record<ErrorCode, number>> = {
  'host/disk-full': FULL_TRIES,
  'mesh/unreachable': 10,
};

function neverReached(state: BlobState, attempt: number, error: unknown): TroupeError | undefined {
  const isUnreachable = error instanceof TroupeError && error.code === 'image/unreachable';
  const hasBegun = (state.progress.percent ?? 0) > 0;
  if (!isUnreachable || hasBegun || attempt < FIRST_TRIES) return undefined;
  const reason = `${error.message}; tried ${attempt} times: check the address, and that this machine reaches it`;
  return new TroupeError('image/not-fetched', reason, error.detail, error);
}

/** Has one node copy from those that hold it, or say that it has it already. */
async function copy(
  state: BlobState,
  context: Context,
  options: { readonly maxSizeBytes: number; readonly fetchTimeoutMs: number },
): Promise<BlobMessage> {
  const { content, replicas } = state;
  const node = nodeOfKey(context.key);
  const generation = replicas[node]?.generation ?? 0;
  if (content === null) throw new TroupeError('image/missing', 'its bytes are not known');
  const nodes = sourcesFor(node, context.self.id, replicas);
  const urgent = isUrgent(state, node) ? { isUrgent: true } : {};
  const beside = copyingBeside(node, context.self.id, replicas);
  // A node of an older version does not know of peers: it is told of them only where there are any.
  const peers = beside.length > 0 ? { peers: beside } : {};
  const source = { kind: 'peers', nodes, ...peers, content, ...urgent } as const;
  // What one node took, all may keep, whatever was set since.
  const maxSizeBytes = Math.max(options.maxSizeBytes, content.sizeBytes);
  const spec = { source, maxSizeBytes, sha512: content.sha512 };
  const timeoutMs = options.fetchTimeoutMs;
  try {
    const wish = { node, resource: 'replica', generation, spec, timeoutMs } as const;
    const { sha512 } = decodeContent(await want(context, wish));
    if (sha512 === content.sha512) return { kind: 'copied', node, generation };
    const text = `${node} reports a copy of other content: ${sha512.slice(0, 16)}…`;
    throw new TroupeError('image/damaged', text);
  } catch (error) {
    throw hopeless(node, context.attempt, error) ?? error;
  }
}

/**
 * A full disk does not empty itself while somebody waits, nor does a member come into reach that has not for a minute:
 * another node may have room.
 */
function hopeless(node: string, attempt: number, error: unknown): TroupeError | undefined {
  if (!(error instanceof TroupeError)) return undefined;
  const tries = TARGET_TRIES[error.code];
  if (tries === undefined || attempt < tries) return undefined;
  const reason = `${node} cannot take a copy: ${error.message}`;
  return new TroupeError('image/not-fetched', reason, error.detail, error);
}

async function removeReplicas(state: BlobState, context: Context): Promise<BlobMessage> {
  const { generation } = state;
  await Promise.all(
    Object.keys(state.replicas).map((node) =>
      want(context, { node, resource: 'replica', generation, spec: null }),
    ),
  );
  await giveBackRelated(state, context);
  return { kind: 'replicas-removed', generation };
}

async function removeCopy(state: BlobState, context: Context): Promise<BlobMessage> {
  const node = nodeOfKey(context.key);
  const generation = state.replicas[node]?.generation ?? 0;
  try {
    await want(context, { node, resource: 'replica', generation, spec: null });
    return { kind: 'copy-removed', node, generation, isInUse: false };
  } catch (error) {
    if (codeOf(error) !== 'host/locked') throw error;
    return { kind: 'copy-removed', node, generation, isInUse: true };
  }
}

/** It begins to read over a line that the copy fills. */
const READ_THROUGH_MS = 20_000;

/** Whether the user's node reads the blob from another one now: a firewall or a missing program may be in the way. */
async function canReadThrough(
  user: string,
  { needs }: BlobState,
  context: Context,
): Promise<boolean> {
  const blobId = context.self.id;
  try {
    const machine = machineRef(needs[user] ?? '');
    const reply = await context.ask(machine, { kind: 'read-through', blobId }, READ_THROUGH_MS);
    return reply === true;
  } catch {
    return false;
  }
}

/** Tells a user; false when it does not know the blob, or does not exist. */
async function isUsedBy(
  { user, failed, diskBlobId, isOnItsWay }: Told,
  state: BlobState,
  context: Context,
): Promise<boolean> {
  const address = parseAddress(user);
  const parent = parentOf(state);
  const message = {
    kind: 'blob-changed',
    blobId: context.self.id,
    phase: failed === null ? 'created' : 'error',
    failure: failed,
    virtualSizeBytes: state.content?.virtualSizeBytes ?? 0,
    ...(state.content === null ? {} : { sha512: state.content.sha512 }),
    ...(parent === null ? {} : { dependsOn: parent }),
    ...(diskBlobId === undefined ? {} : { diskBlobId }),
    ...(isOnItsWay === true ? { isOnItsWay } : {}),
  } as const;
  if (address?.kind === 'artifact')
    return (await unlessGone(context.ask(artifactRef(address.id), message))) === true;
  if (address?.kind === 'agentoperation')
    return (await unlessGone(context.ask(agentOperationRef(address.id), message))) === true;
  if (address?.kind === 'blob')
    return (await unlessGone(context.ask(blobRef(address.id), message))) === true;
  if (address?.kind === 'instance')
    return (await unlessGone(context.ask(instanceRef(address.id), message))) === true;
  return false;
}
