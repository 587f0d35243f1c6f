// What a blob does to the blobs that it uses itself, and how a node is asked about it: its parent is held, its transcode made
// and dropped.
import { codeOf, TroupeError, unlessGone } from '../kernel/errors.ts';
import { formatAddress } from '../kernel/kind.ts';
import type { EffectContext, Performers } from '../kernel/ports.ts';
import { received } from '../kernel/schema.ts';
import { machineRef } from '../node/machine-message.ts';
import type { BlobEffect } from './wanted.ts';
import { parentOf } from './parent.ts';
import { blobRef, Facts, type BlobMessage, type BlobState } from './state.ts';

type Context = EffectContext<BlobMessage>;
type RelatedEffect = Extract<
  BlobEffect,
  'hold-parent' | 'make-transcode' | 'time-transcode' | 'drop-transcode'
>;

/** The node waits a while for what it is finding out. */
const DESCRIBE_MS = 15_000;

const decodeFacts = received('facts of a replica', Facts);

export function relatedPerformers(options: {
  /** How long a transcode is kept that no disk uses. */
  readonly transcodeIdleMs: number;
}): Performers<BlobState, BlobMessage, RelatedEffect> {
  return {
    'hold-parent': holdParent,
    'make-transcode': makeTranscode,
    'time-transcode': (_state, context) => {
      const sinceMs = Number(context.key);
      const untilMs = sinceMs + options.transcodeIdleMs;
      return Promise.resolve({ kind: 'transcode-idle', sinceMs, untilMs });
    },
    'drop-transcode': async (_state, context) => {
      const blobId = context.key;
      await giveBack(blobId, context);
      return { kind: 'transcode-dropped', blobId };
    },
  };
}

/** Its bytes are gone, and whatever was read through them. */
export async function giveBackRelated(state: BlobState, context: Context): Promise<void> {
  const used = [parentOf(state), state.transcode?.blobId ?? null];
  for (const blobId of used) if (blobId !== null) await giveBack(blobId, context);
}

export async function describe(_state: BlobState, context: Context): Promise<BlobMessage> {
  const message = { kind: 'describe-replica', blobId: context.self.id } as const;
  const facts = await context.ask(machineRef(context.key), message, DESCRIBE_MS);
  return { kind: 'described', facts: decodeFacts(facts) };
}

async function holdParent(_state: BlobState, context: Context): Promise<BlobMessage> {
  const parent = context.key;
  const user = formatAddress(context.self);
  const phase = await context.ask(blobRef(parent), { kind: 'use', user }).catch(unlessRefused);
  if (phase === 'created') return { kind: 'parent-held' };
  const text = `blob ${parent}, from which it holds what differs, is gone: take a full snapshot`;
  throw new TroupeError('image/not-fetched', text);
}

function unlessRefused(error: unknown): null {
  const code = codeOf(error);
  if (code === 'object/wrong-phase' || code === 'object/not-found') return null;
  throw error;
}

async function makeTranscode({ transcode }: BlobState, context: Context): Promise<undefined> {
  if (transcode === null) return;
  const { blobId, node } = transcode;
  const source = { kind: 'blob', blobId: context.self.id } as const;
  const user = formatAddress(context.self);
  await context.ask(blobRef(blobId), { kind: 'create', source, node, user });
}

async function giveBack(blobId: string, context: Context): Promise<void> {
  const user = formatAddress(context.self);
  await unlessGone(context.ask(blobRef(blobId), { kind: 'unuse', user }));
}
