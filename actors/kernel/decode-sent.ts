// The boundary between actors: what another one sends is decoded here, wherever it comes from. A message
// from this process takes the same way as one from the wire, so an actor can't tell, and need not care,
// where its peers run. Only an actor's own effects and alarm speak to it undecoded.
import { TroupeError } from './errors.ts';
import type { Kind, KernelMessage, Message } from './kind.ts';

/** Kinds of messages that only the runtime may send. */
const RESERVED: ReadonlySet<string> = new Set<KernelMessage['kind']>([
  'effect-failed',
  'time-reached',
]);

/** Throws TroupeError `actor/bad-message`, or whatever the kind's decoder throws. */
export function decodeSent<S, M extends Message, E extends string>(
  kind: Kind<S, M, E>,
  raw: unknown,
): M | KernelMessage {
  const message = kind.decodeMessage(raw);
  if (!RESERVED.has(message.kind)) return message;
  throw new TroupeError('actor/bad-message', `${message.kind} comes from the runtime only`);
}
