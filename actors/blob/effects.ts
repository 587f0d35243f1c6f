// What a blob does to others: has nodes fetch and remove replicas, and tells its users how it went.
import { codeOf, TroupeError, unlessGone, type ErrorCode } from '../kernel/errors.ts';
import { formatAddress, parseAddress } from '../kernel/kind.ts';
import type { EffectContext, Performers } from '../kernel/ports.ts';
import { decoder } from '../kernel/schema.ts';
import { agentOperationRef } from '../agent-operation/state.ts';
import { artifactRef } from '../artifact/state.ts';
import { instanceRef } from '../instance/state.ts';
import { want } from '../node/executor-message.ts';
import type { BlobEffect } from './blob.ts';
import { copyingBeside, sourcesFor, type NodeView } from './copies.ts';
import { nodeOfKey } from './replicas.ts';
import { blobRef, Content, type BlobMessage, type BlobState } from './state.ts';
import { toBeTold, type Told } from './told.ts';

type Context = EffectContext<BlobMessage>;

const decodeContent = decoder('replica report', Content, 'actor/bad-message');

export function blobPerformers(options: {
  /** Largest image accepted, bytes. */
  readonly maxSizeBytes: number;
  /** One attempt's patience, ms; what was downloaded is kept for the next. */
  readonly fetchTimeoutMs: number;
  /** How many nodes keep each blob, if there are as many. */
  readonly copies: number;
  /** How long a node that is away is waited for. */
  readonly patienceMs: number;
  /** The nodes that can hold blobs, as this daemon sees them now. */
  readonly nodes: () => readonly NodeView[];
}): Performers<BlobState, BlobMessage, BlobEffect> {
  return {
    fetch: async (state, context) => {
      const { maxSizeBytes, fetchTimeoutMs } = options;
      const spec = { source: state.source, maxSizeBytes, sha512: null };
      const [node = ''] = Object.keys(state.replicas);
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
    'place-copies': () =>
      Promise.resolve({
        kind: 'nodes-changed',
        nodes: [...options.nodes()],
        copies: options.copies,
        patienceMs: options.patienceMs,
      }),
    copy: (state, context) => copy(state, context, options),
    'remove-copy': removeCopy,
    'make-transcode': makeTranscode,
    'tell-users': async (state, context) => {
      const told = toBeTold(state).map(async (one) => {
        return (await isUsedBy(one, state, context)) ? [] : [one.user];
      });
      const users = (await Promise.all(told)).flat();
      return users.length > 0 ? { kind: 'users-gone', users } : undefined;
    },
    'remove-replicas': removeReplicas,
    forget: () => Promise.resolve({ kind: 'forgotten' }),
  };
}

/** A download that has begun is worth resuming for long; an address that never answered is most likely wrong. */
const FIRST_TRIES = 5;
/** Of a copy on one node, by what is in its way. */
const TARGET_TRIES: Partial<Record<ErrorCode, number>> = {
  'host/disk-full': 3,
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
  const beside = copyingBeside(node, context.self.id, replicas);
  // A node of an older version does not know of peers: it is told of them only where there are any.
  const peers = beside.length > 0 ? { peers: beside } : {};
  const source = { kind: 'peers', nodes, ...peers, content } as const;
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

async function makeTranscode({ transcode }: BlobState, context: Context): Promise<undefined> {
  if (transcode === null) return;
  const { blobId, node } = transcode;
  const source = { kind: 'blob', blobId: context.self.id } as const;
  const user = formatAddress(context.self);
  await context.ask(blobRef(blobId), { kind: 'create', source, node, user });
}

async function removeReplicas(state: BlobState, context: Context): Promise<BlobMessage> {
  const { generation, transcode } = state;
  await Promise.all(
    Object.keys(state.replicas).map((node) =>
      want(context, { node, resource: 'replica', generation, spec: null }),
    ),
  );
  if (transcode !== null) {
    const user = formatAddress(context.self);
    await unlessGone(context.ask(blobRef(transcode.blobId), { kind: 'unuse', user }));
  }
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

/** Tells a user; false when it does not know the blob, or does not exist. */
async function isUsedBy(
  { user, failed, diskBlobId }: Told,
  state: BlobState,
  context: Context,
): Promise<boolean> {
  const address = parseAddress(user);
  const message = {
    kind: 'blob-changed',
    blobId: context.self.id,
    phase: failed === null ? 'created' : 'error',
    failure: failed,
    virtualSizeBytes: state.content?.virtualSizeBytes ?? 0,
    ...(state.content === null ? {} : { sha512: state.content.sha512 }),
    ...(diskBlobId === undefined ? {} : { diskBlobId }),
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
