// What an agent operation does to others: joins its instance's queue, has its blobs brought, has the node's daemon carry
// it out, and says when it is over. Every step may be repeated; what the guest is given is not (O1).
import { codeOf, reasonOf, TroupeError, unlessGone } from '../kernel/errors.ts';
import type { EffectContext, Performers } from '../kernel/ports.ts';
import { closed, received, nullable, Type } from '../kernel/schema.ts';
import { blobRef } from '../blob/state.ts';
import { instanceRef } from '../instance/state.ts';
import { machineRef } from '../node/machine-message.ts';
import { isOver, type AgentOperationEffect } from './agent-operation.ts';
import {
  AgentResult,
  neededBlobs,
  type AgentOperationMessage,
  type AgentOperationState as State,
} from './state.ts';

type Context = EffectContext<AgentOperationMessage>;

/** How long the machine keeps an ask for the outcome waiting, and by when it has to have answered. */
export const OUTCOME_WAIT_MS = 25_000;
const ASK_MS = 40_000;
/** Pauses between asks grow to ten seconds: about five minutes without an answer. */
const UNANSWERED = 35;

const decodeNode = received('node of an instance', Type.String());

const decodeOutcome = received(
  'outcome of an agent operation',
  nullable(
    closed({
      results: Type.Array(AgentResult),
      blobs: Type.Array(Type.String()),
      failure: nullable(closed({ code: Type.String(), reason: Type.String() })),
    }),
  ),
);

export function agentOperationPerformers(): Performers<
  State,
  AgentOperationMessage,
  AgentOperationEffect
> {
  return {
    enlist: async (state, context) => {
      const message = { kind: 'enlist', operationId: context.self.id } as const;
      const node = await context.ask(instanceRef(state.instanceId), message);
      return { kind: 'enlisted', node: decodeNode(node) };
    },
    'bring-blobs': async (state, context) => {
      const user = userOf(context);
      const node = state.node ?? '';
      for (const blobId of neededBlobs(state)) {
        await context.ask(blobRef(blobId), { kind: 'need', user, node });
      }
      return undefined;
    },
    'report-ready': async (state, context) => {
      const message = { kind: 'operation-ready', operationId: context.self.id } as const;
      const isKnown = await context.ask(instanceRef(state.instanceId), message);
      if (isKnown === true) return undefined;
      throw new TroupeError('guest/lost', 'its instance no longer knows of it');
    },
    perform,
    'keep-blobs': async (state, context) => {
      const user = userOf(context);
      for (const id of state.blobs) {
        const source = { kind: 'spool', id } as const;
        const message = { kind: 'create', source, node: state.node ?? '', user } as const;
        await context.ask(blobRef(id), message);
      }
      return { kind: 'blobs-kept' };
    },
    settle,
    forget: () => Promise.resolve({ kind: 'forgotten' }),
  };
}

/** Asks again and again until there is an outcome: a guest may take its time. */
async function perform(state: State, context: Context): Promise<AgentOperationMessage> {
  const { instanceId, commands, node, boot } = state;
  const operationId = context.self.id;
  const message = { kind: 'run-agent-operation', operationId, instanceId, boot, commands } as const;
  for (;;) {
    const reply = await heard(context, () =>
      context.ask(machineRef(node ?? ''), { ...message, boot: boot ?? '' }, ASK_MS),
    );
    const outcome = decodeOutcome(reply);
    if (outcome !== null) return { kind: 'performed', ...outcome };
  }
}

async function heard<T>({ attempt }: Context, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (attempt < UNANSWERED || codeOf(error) === 'actor/stopped') throw error;
    const reason = `its node has not answered for long: ${reasonOf(error)}`;
    throw new TroupeError('guest/lost', reason, {}, error);
  }
}

async function settle(state: State, context: Context): Promise<AgentOperationMessage | undefined> {
  const { phase, instanceId, node, boot } = state;
  if (!isOver(phase)) return undefined;
  const operationId = context.self.id;
  const isGone = phase === 'deleted';
  // What it holds until it is deleted is what came back; what it has brought is brought.
  const blobs = [...neededBlobs(state), ...(isGone ? state.blobs : [])];
  const user = userOf(context);
  for (const id of blobs) await unlessGone(context.ask(blobRef(id), { kind: 'unuse', user }));
  // The machine forgets by itself what it is not told of.
  if (node !== null && boot !== null) {
    context.tell(machineRef(node), { kind: 'end-agent-operation', operationId });
  }
  const over = { kind: 'operation-over', operationId, isGone } as const;
  await unlessGone(context.ask(instanceRef(instanceId), over));
  return { kind: 'settled', phase };
}

function userOf(context: Context): string {
  return `agentoperation/${context.self.id}`;
}
