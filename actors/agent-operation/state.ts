// An agent operation's state and messages: commands that are carried out in order inside one guest.
import { blobChanged } from '../blob/state.ts';
import type { Ref } from '../kernel/kind.ts';
import { lifeMembers } from '../kernel/object.ts';
import {
  closed,
  messageDecoder,
  nullable,
  oneOf,
  Type,
  type MessageOf,
  type Static,
} from '../kernel/schema.ts';
import { setbackMember } from '../kernel/setback.ts';

/** As clients see them (contract: nodes-admin-events 3.4). */
export const AgentCommand = Type.Union([
  closed({
    command: Type.Literal('execute'),
    commandline: Type.String(),
    'block-for-result': Type.Boolean(),
  }),
  closed({ command: Type.Literal('get-file'), path: Type.String() }),
  closed({ command: Type.Literal('put-blob'), blob_uuid: Type.String(), path: Type.String() }),
  closed({
    command: Type.Literal('chmod'),
    path: Type.String(),
    mode: Type.Union([Type.Integer(), Type.String()]),
  }),
]);
export type AgentCommand = Static<typeof AgentCommand>;

/** What the guest answered to one command. */
export const AgentResult = Type.Record(Type.String(), Type.Unknown());
export type AgentResult = Static<typeof AgentResult>;

export const AgentOperationState = closed({
  phase: oneOf([
    'none',
    'initial',
    'preflight',
    'queued',
    'executing',
    'complete',
    'error',
    'deleted',
  ]),
  namespace: Type.String(),
  instanceId: Type.String(),
  commands: Type.Array(AgentCommand),
  /** By the command's number, from 0, as text. */
  results: Type.Record(Type.String(), AgentResult),
  /** The instance's node; null until the instance has taken the operation into its queue. */
  node: nullable(Type.String()),
  /** The boot of the daemon there that was given it: another one is not (O1). Null before its turn. */
  boot: nullable(Type.String()),
  /** Large results: spooled on the node under these ids, and to be blobs of the same ids. */
  blobs: Type.Array(Type.String()),
  /** All commands have been answered, or one has not: what is left is to keep the blobs. */
  isAnswered: Type.Boolean(),
  /** Up to which phase the instance, the blobs and the node have heard that it is over. */
  settled: nullable(oneOf(['complete', 'error', 'deleted'])),
  ...setbackMember,
  ...lifeMembers,
});
export type AgentOperationState = Static<typeof AgentOperationState>;

const MESSAGES = {
  create: {
    namespace: Type.String(),
    instanceId: Type.String(),
    commands: Type.Array(AgentCommand, { minItems: 1, maxItems: 16 }),
  },
  /** The instance has put it at the end of its queue. */
  enlisted: { node: Type.String() },
  'blob-changed': blobChanged,
  /** From the instance: it is its turn. Replies whether it wants it (still). */
  start: { boot: Type.String() },
  /** Outcome of perform; a failure ends it, after what has been answered. */
  performed: {
    results: Type.Array(AgentResult),
    blobs: Type.Array(Type.String()),
    failure: nullable(closed({ code: Type.String(), reason: Type.String() })),
  },
  'blobs-kept': {},
  /** Outcome of settle in a phase. */
  settled: { phase: oneOf(['complete', 'error', 'deleted']) },
  /** Calls it off, in whatever phase. */
  delete: {},
  forgotten: {},
};
export type AgentOperationMessage = MessageOf<typeof MESSAGES>;
export const decodeAgentOperationMessage = messageDecoder('agentoperation', MESSAGES);

export function agentOperationRef(id: string): Ref<AgentOperationMessage> {
  return { kind: 'agentoperation', id };
}

/** Blobs that have to be on the instance's node first. */
export function neededBlobs({ commands }: Pick<AgentOperationState, 'commands'>): string[] {
  const ids = commands.flatMap((one) => (one.command === 'put-blob' ? [one.blob_uuid] : []));
  return [...new Set(ids)];
}
