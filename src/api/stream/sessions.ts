// Channels that are open, and whether those who opened them still may have them.
//
// E1  Looked at when something changes that decides it (a namespace, an artifact), and now and then, since keys can end by
//     time. Not with every change of every object: there may be a thousand channels.
import { liveKey } from '../../../actors/namespace/keys.ts';
import { CLOSE } from '../http/channel.ts';
import type { Caller } from '../http/route.ts';
import type { ApiServices } from '../services.ts';

const LOOK_MS = 30_000;

type End = (code: number, reason: string) => void;

/** Who opened a channel, and the key that was used as it was then. */
export interface Holder extends Caller {
  readonly nonce: string;
}

interface Session {
  readonly holder: Holder;
  readonly refusal: () => string | null;
  readonly end: End;
}

export class Sessions {
  readonly #services: Pick<ApiServices, 'read' | 'clock'>;
  readonly #open = new Set<Session>();
  #isLooking = false;

  constructor(services: Pick<ApiServices, 'read' | 'clock'>) {
    this.#services = services;
    services.read.onChange((changes) => {
      if (this.#open.size === 0) return;
      if (changes.some(({ kind }) => kind === 'namespace' || kind === 'artifact')) this.#look();
    });
  }

  /** Calls `end` once when the key is gone, or `refusal` says why not; the returned function forgets it. */
  watch(holder: Holder, refusal: () => string | null, end: End): () => void {
    const session = { holder, refusal, end };
    this.#open.add(session);
    if (!this.#isLooking) this.#lookLater();
    return () => void this.#open.delete(session);
  }

  #lookLater(): void {
    this.#isLooking = true;
    this.#services.clock.after(LOOK_MS, () => {
      this.#look();
      this.#isLooking = false;
      if (this.#open.size > 0) this.#lookLater();
    });
  }

  #look(): void {
    for (const session of this.#open) this.#check(session);
  }

  #check(session: Session): void {
    const { holder, refusal, end } = session;
    const isAlive = holderOf(this.#services, holder)?.nonce === holder.nonce;
    const why = isAlive ? refusal() : 'the key that this was opened with is gone';
    if (why === null) return;
    this.#open.delete(session);
    end(isAlive ? CLOSE.forbidden : CLOSE.unauthenticated, why);
  }
}

/** The caller with its key as it is now; undefined: the key, or its namespace, is no more. */
export function holderOf(
  { read, clock }: Pick<ApiServices, 'read' | 'clock'>,
  { namespace, keyName }: Caller,
): Holder | undefined {
  const state = read.namespaces.get(namespace)?.state;
  const key = state?.phase === 'created' ? liveKey(state, keyName, clock.nowMs()) : undefined;
  return key && { namespace, keyName, nonce: key.nonce };
}
