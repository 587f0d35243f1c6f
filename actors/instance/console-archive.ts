// What the serial console of a deleted instance has said, kept for a while (contract: artifacts 10.3): one blob, and an artifact
// with it in the instance's namespace and in `system`. They go by themselves (actors/artifact/artifact.ts).
//
// N1  Every step may be repeated, also by another daemon: the ids follow from the instance's.
// N2  A deletion is held up by it for a while, and never prevented.
import { createHash } from 'node:crypto';
import { artifactRef } from '../artifact/state.ts';
import { blobRef } from '../blob/state.ts';
import { codeOf, CODES, reasonOf } from '../kernel/errors.ts';
import type { EffectContext } from '../kernel/ports.ts';
import { received, Type } from '../kernel/schema.ts';
import { asUuid } from '../kernel/uuid.ts';
import { machineRef } from '../node/machine-message.ts';
import type { InstanceMessage, InstanceState } from './state.ts';

type Context = EffectContext<InstanceMessage>;

const SYSTEM = 'system';
const DAY_MS = 86_400_000;
/** Then the deletion goes on without. */
const MOST_ATTEMPTS = 4;

const decodeSize = received('size of a console log', Type.Integer());

/** Of a deleted instance that may have said something. Quiet when it has not, or when it cannot be kept. */
export async function keepConsole(
  days: number,
  state: InstanceState,
  context: Context,
): Promise<void> {
  if (days === 0 || state.phase !== 'delete-wait' || state.node === null) return;
  try {
    await keep(days, { ...state, node: state.node }, context);
  } catch (error) {
    const isPassing = CODES[codeOf(error)].retry !== 'never';
    if (context.signal.aborted || (isPassing && context.attempt < MOST_ATTEMPTS)) throw error;
    context.log('warn', 'the console of a deleted instance is not kept', {
      reason: reasonOf(error),
    });
  }
}

async function keep(
  days: number,
  { namespace, node }: Pick<InstanceState, 'namespace'> & { readonly node: string },
  context: Context,
): Promise<void> {
  const { id } = context.self;
  const blobId = idFor(id, 'console');
  if (!(await isMade(blobId, context))) {
    const message = { kind: 'keep-console', instanceId: id, spoolId: blobId } as const;
    if (decodeSize(await context.ask(machineRef(node), message)) === 0) return;
  }
  const sourceUrl = `sf://instance/${id}/console`;
  const expiresAtMs = context.clock.nowMs() + days * DAY_MS;
  for (const owner of new Set([namespace, SYSTEM])) {
    const artifact = artifactRef(idFor(id, `console in ${owner}`));
    const named = { type: 'other', name: `${id}/console`, namespace: owner, sourceUrl } as const;
    const kept = { shared: false, maxVersions: 1, expiresAtMs } as const;
    await context.ask(artifact, { kind: 'found', ...named, ...kept });
    const addition = { blobId, source: { kind: 'spool', id: blobId }, node } as const;
    await context.ask(artifact, { kind: 'add-version', addition });
  }
}

async function isMade(blobId: string, context: Context): Promise<boolean> {
  try {
    await context.ask(blobRef(blobId), { kind: 'describe' });
    return true;
  } catch (error) {
    if (codeOf(error) === 'object/not-found') return false;
    throw error;
  }
}

function idFor(instanceId: string, what: string): string {
  return asUuid(createHash('sha256').update(`${instanceId} ${what}`).digest());
}
