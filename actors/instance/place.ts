// Placing: a node is chosen by what is known, and asked; what it refuses is taken into account, and the next is asked.
//
// P1  One outcome is recorded, `placed` or `unplaceable`, with why every node was kept or dropped.
// P2  A granted reservation that never becomes the instance's node is found out by the node (claimsPlace()); one
//     that the copy already shows is used again.
// P3  Each refusal takes one node out, so that it ends. A node that does not answer is given a few attempts.
import { reasonOf, TroupeError } from '../kernel/errors.ts';
import { next, type Step } from '../kernel/kind.ts';
import type { EffectContext } from '../kernel/ports.ts';
import { received } from '../kernel/schema.ts';
import { Grant, nodeRef } from '../node/state.ts';
import { wishOf } from './candidate.ts';
import { mayHaveDomain } from './clean.ts';
import { schedule, type Candidate, type Refusal, type Stage, type Wish } from './scheduler.ts';
import type { InstanceMessage, InstanceState } from './state.ts';

type Context = EffectContext<InstanceMessage>;

/** The nodes as this daemon last read them, as the instance sees them. */
export type Candidates = (instanceId: string) => readonly Candidate[];

const RESERVE_MS = 5_000;
/** Tries in all for a node that does not answer, where no other will do. */
const ATTEMPTS = 4;

const decodeGrant = received('grant', Grant);

/** False once it has given its place back, or if it never had one. */
export function holdsPlace(state: InstanceState): boolean {
  if (state.node === null || state.phase === 'deleted') return false;
  // One that was parked after crashes has cleaned nothing up.
  return state.phase !== 'error' || mayHaveDomain(state);
}

/** Whether the node's reservation for it is to stay: it is placed there, or may be about to say so. */
export function claimsPlace(state: InstanceState, node: string): boolean {
  if (state.phase === 'initial' && state.node === null) return true;
  return state.node === node && holdsPlace(state);
}

/**
 * On `account-for`. One that is to stay says its whole wish again: what its guest did while nobody listened is in
 * the answer to that.
 */
export function account(state: InstanceState, node: string): Step<InstanceState> {
  const isKept = state.node === node && mayHaveDomain(state);
  const isStanding = state.phase === 'creating' || state.phase === 'created';
  const generation = state.generation + (isKept && isStanding ? 1 : 0);
  return next({ ...state, generation }, [], { isKept, generation });
}

/** Chooses a node that grants a reservation. */
export async function place(
  candidates: Candidates,
  state: InstanceState,
  context: Context,
): Promise<InstanceMessage> {
  const wish = wishOf(state);
  const refusals = new Map<string, Refusal>();
  let silence: TroupeError | null = null;
  for (;;) {
    const known = candidates(context.self.id).map((one) => {
      return { ...one, refusal: refusals.get(one.node) ?? null };
    });
    const choice = schedule(wish, known, context.random.number());
    const stages = choice.stages.map(sendable);
    if (!choice.ok) {
      if (silence !== null && context.attempt < ATTEMPTS) throw silence;
      const { code, reason } = choice;
      return { kind: 'unplaceable', code, reason, stages };
    }
    const { node } = choice;
    try {
      const grant = await reserve(node, wish, context);
      if (grant.isGranted) return { kind: 'placed', node, stages };
      refusals.set(node, { check: grant.check, reason: `says: ${grant.reason}` });
    } catch (error) {
      if (!(error instanceof TroupeError) || context.signal.aborted) throw error;
      if (error.retry !== 'never') silence = error;
      refusals.set(node, { check: 'hypervisors', reason: `no answer: ${reasonOf(error)}` });
    }
  }
}

async function reserve(node: string, wish: Wish, context: Context): Promise<Grant> {
  const { id: instanceId } = context.self;
  const { cpus, memoryMiB, diskGiB } = wish;
  try {
    const message = { kind: 'reserve', instanceId, cpus, memoryMiB, diskGiB } as const;
    return decodeGrant(await context.ask(nodeRef(node), message, RESERVE_MS));
  } catch (error) {
    // It may have been granted, and only the answer lost.
    giveBack(node, context);
    throw error;
  }
}

/** Told, not asked: a node that does not hear it finds out by itself. */
export function giveBack(node: string, context: Context): void {
  context.tell(nodeRef(node), { kind: 'release', instanceIds: [context.self.id] });
}

function sendable({ stage, candidates, dropped }: Stage) {
  return { stage, candidates: [...candidates], dropped: { ...dropped } };
}
