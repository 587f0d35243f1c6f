// What a namespace's events say of the use of its keys: logins that worked and that did not, and that a key was used for
// changes. Never a secret, nor a part of one.
//
// T1  The first of a kind is recorded at once; what is the same within WINDOW_MS is counted, and told with the next that is
//     recorded. A client that logs in for every command, or a stranger who guesses, costs the store one write per window.
// T2  Nobody waits for it: a login works while the store does not. The line of the log is there in any case.
// T3  What is remembered is bounded; when it is full the oldest is forgotten, and its next use is news again.
import type { Clock } from '../../../actors/kernel/clock.ts';
import type { Router } from '../../../actors/kernel/ports.ts';
import { fingerprint } from '../../../actors/namespace/keys.ts';
import { namespaceRef, type NamespaceKey } from '../../../actors/namespace/state.ts';

const WINDOW_MS = 600_000;
const MOST_REMEMBERED = 10_000;

export type Use = 'login' | 'login refused' | 'key used for changes';

export interface KeyUse {
  readonly namespace: string;
  /** Null: no key had that secret. */
  readonly key: { readonly name: string; readonly set: NamespaceKey } | null;
  /** The address of the client. */
  readonly remote: string;
  readonly trace: string;
}

interface Seen {
  readonly sinceMono: number;
  /** Since then, that were not recorded. */
  more: number;
}

export class AuditTrail {
  readonly #router: Pick<Router, 'tell'>;
  readonly #clock: Clock;
  readonly #seen = new Map<string, Seen>();

  constructor(router: Pick<Router, 'tell'>, clock: Clock) {
    this.#router = router;
    this.#clock = clock;
  }

  note(use: Use, { namespace, key, remote, trace }: KeyUse): void {
    const what = key === null ? {} : { key: key.name, fingerprint: fingerprint(key.set) };
    const name = JSON.stringify([use, namespace, what, remote]);
    const seen = this.#seen.get(name);
    const now = this.#clock.monoMs();
    if (seen !== undefined && now - seen.sinceMono < WINDOW_MS) return void seen.more++;
    this.#remember(name, now);
    const more = seen === undefined || seen.more === 0 ? {} : { before: seen.more };
    const message = { kind: 'used', use, extra: { ...what, remote, ...more } } as const;
    this.#router.tell(namespaceRef(namespace), message, { trace });
  }

  #remember(name: string, sinceMono: number): void {
    this.#seen.delete(name);
    const [oldest] = this.#seen.keys();
    if (this.#seen.size >= MOST_REMEMBERED && oldest !== undefined) this.#seen.delete(oldest);
    this.#seen.set(name, { sinceMono, more: 0 });
  }
}
