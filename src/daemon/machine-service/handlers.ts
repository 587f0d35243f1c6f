// How a machine's answers to messages (actors/node/machine-message.ts) are written: one handler a kind, by topic.
import type { MachineMessage } from '../../../actors/node/machine-message.ts';

type Kind = MachineMessage['kind'];

/** Each returns plain data or bytes, which is the reply; nothing is replied as null. */
export type Handlers<K extends Kind = Kind> = {
  readonly [One in K]: (message: Extract<MachineMessage, { kind: One }>, trace: string) => unknown;
};
