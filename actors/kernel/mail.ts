// What waits in an actor's mailbox.
import type { TroupeError } from './errors.ts';
import type { KernelMessage, Message } from './kind.ts';
import type { AskReply } from './ports.ts';

/** The asker's end of an ask. Settles once; later calls do nothing. */
export interface Reply {
  /** True as well when the asker has stopped waiting: its message is then not carried out. */
  readonly isSettled: boolean;
  resolve(reply: AskReply): void;
  reject(error: TroupeError): void;
}

/** The effect run that an outcome comes from. */
export interface OutcomeSource {
  /** False once the state has stopped wanting the effect: its outcome is then no news. */
  readonly isWanted: boolean;
  /** True: a turn has taken the outcome in, and its write is done. False: not; deliver it again. */
  settle(isTaken: boolean): void;
}

export type Mail<M extends Message> =
  /** Told or asked by somebody else, and decoded. */
  | {
      readonly kind: 'sent';
      readonly message: M | KernelMessage;
      readonly trace: string;
      readonly reply: Reply | null;
    }
  /** From one of the actor's own effects: its outcome, or (without source) a report under way. */
  | {
      readonly kind: 'own';
      readonly message: M | KernelMessage;
      readonly trace: string;
      readonly source: OutcomeSource | null;
    }
  /** The alarm for a time named by the state. */
  | { readonly kind: 'alarm'; readonly atMs: number; readonly trace: string }
  /** Nothing but: be loaded, and run what the state implies. */
  | { readonly kind: 'wake'; readonly trace: string };

/** The message's own kind, for logs and counters. */
export function nameOf<M extends Message>(mail: Mail<M>): string {
  return mail.kind === 'sent' || mail.kind === 'own' ? mail.message.kind : mail.kind;
}

/** Ends whoever waits for this mail; what nobody waits for is just dropped. */
export function refuseMail<M extends Message>(mail: Mail<M>, error: TroupeError): void {
  if (mail.kind === 'sent') mail.reply?.reject(error);
  if (mail.kind === 'own') mail.source?.settle(false);
}

/** True when nobody wants this mail carried out any more: its asker gave up, or its effect is unwanted. */
export function isOver<M extends Message>(mail: Mail<M>): boolean {
  if (mail.kind === 'sent') return mail.reply?.isSettled ?? false;
  return mail.kind === 'own' && mail.source?.isWanted === false;
}
