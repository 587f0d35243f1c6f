// What is asked of a machine's daemon itself rather than of an actor: what its actors are doing, and what only the
// machine has (consoles). `machine/<node>` answers; the router brings it there.
import type { Ref } from '../kernel/kind.ts';
import { messageDecoder, Type, type MessageOf } from '../kernel/schema.ts';

const MESSAGES = {
  /** Replies what the actor is doing; null: it does not run there. `address` is `kind/id`. */
  inspect: { address: Type.String() },
  /** Replies what is past its deadline there. */
  stuck: {},
  /** Replies the end of the serial console's log, base64; a negative length: all of it. */
  'read-console': { instanceId: Type.String(), lengthBytes: Type.Integer() },
  'clear-console': { instanceId: Type.String() },
  /** Replies what the ticket that was made there is worth, once; null: nothing (any more). */
  'redeem-ticket': { secret: Type.String() },
};
export type MachineMessage = MessageOf<typeof MESSAGES>;
export const decodeMachineMessage = messageDecoder('machine', MESSAGES);

/** The kind in the address; what comes after it is the node. */
export const MACHINE = 'machine';

export function machineRef(node: string): Ref<MachineMessage> {
  return { kind: MACHINE, id: node };
}
