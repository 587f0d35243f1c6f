// What is told of a machine to the objects that have something on it: whether its daemon is there, and since when.
//
// P1  A daemon that was started again knows nothing of what was wanted before: who has something on its machine tells
//     it again. So an object remembers the boot that it has told.
// P2  A machine that is missing may still run what it ran. Nothing of it is started elsewhere.
// P3  A machine that was removed from the cluster never comes back as it was: what was on it is gone.
import { Type, type MessageOf } from '../kernel/schema.ts';

/** The boot of a machine whose daemon is not there. */
export const MISSING = '';

/** The message's members; its kind is `node-seen`. `boot`: of the daemon there, or MISSING. */
export const nodeSeen = { node: Type.String(), boot: Type.String() };
export type NodeSeen = MessageOf<{ 'node-seen': typeof nodeSeen }>;

/** Members of `node-gone`: the machine was removed from the cluster. */
export const nodeGone = { node: Type.String() };

/** Whether the daemon there has to be told again; one that was never recorded was told as it was. */
export function isNewBoot(known: string | null | undefined, boot: string): boolean {
  return known !== null && known !== undefined && known !== boot;
}
