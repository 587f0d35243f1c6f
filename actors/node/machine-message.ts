// What is asked of a machine's daemon itself rather than of an actor: what its actors are doing, and what only the
// machine has (consoles). `machine/<node>` answers; the router brings it there.
import type { Ref } from '../kernel/kind.ts';
import { messageDecoder, Type, type MessageOf } from '../kernel/schema.ts';
import { AgentCommand } from '../agent-operation/state.ts';

const MESSAGES = {
  /** Replies what the actor is doing; null: it does not run there. `address` is `kind/id`. */
  inspect: { address: Type.String() },
  /** Replies what is past its deadline there. */
  stuck: {},
  /** Replies the end of the serial console's log, base64; a negative length: all of it. */
  'read-console': { instanceId: Type.String(), lengthBytes: Type.Integer() },
  'clear-console': { instanceId: Type.String() },
  /**
   * Has the agent in the guest carry the commands out, unless that was asked for before; replies the outcome, or null when
   * there is none yet after a while. `boot`: of the daemon that is meant (guest-operations.ts).
   */
  'run-agent-operation': {
    operationId: Type.String(),
    instanceId: Type.String(),
    boot: Type.String(),
    commands: Type.Array(AgentCommand),
  },
  /** Nobody waits for its outcome any more. */
  'end-agent-operation': { operationId: Type.String() },
  /** Takes a picture of the guest's screen into the spool; replies its id there. */
  'take-screenshot': { instanceId: Type.String() },
};
export type MachineMessage = MessageOf<typeof MESSAGES>;
export const decodeMachineMessage = messageDecoder('machine', MESSAGES);

/** The kind in the address; what comes after it is the node. */
export const MACHINE = 'machine';

export function machineRef(node: string): Ref<MachineMessage> {
  return { kind: MACHINE, id: node };
}
