// Keeps logins from starving the daemon: checking a secret takes tens of milliseconds of CPU on purpose.
//
// L1  At most MAX_RUNNING checks run at a time, and few wait: what is more is told to come back.
// L2  Who keeps being wrong waits before the next try, longer each time. It is the pair of address and namespace that
//     waits: nobody locks others out of a namespace, nor a whole site by trying one namespace.
// L3  What is remembered of clients is bounded, and forgotten when they stop.
import type { Clock } from '../../../actors/kernel/clock.ts';
import { TroupeError } from '../../../actors/kernel/errors.ts';

const MAX_RUNNING = 2;
const MAX_QUEUED = 64;
const MAX_WAITING_EACH = 4;
const MAX_CLIENTS = 10_000;
/** Wrong tries that cost nothing. */
const FREE_TRIES = 4;
const FIRST_PAUSE_MS = 250;
const MAX_PAUSE_MS = 8_000;
/** After this long without a wrong try all is forgiven. */
const FORGIVE_MS = 60_000;

interface Client {
  failures: number;
  lastFailureMono: number;
  waiting: number;
}

export class LoginGuard {
  readonly #clock: Clock;
  readonly #clients = new Map<string, Client>();
  readonly #queue: (() => void)[] = [];
  #running = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Clients remembered. */
  get clients(): number {
    return this.#clients.size;
  }

  /** Runs `check` when it is its turn; null means a wrong secret. Error: `actor/overloaded`. */
  async attempt<T>(name: string, check: () => Promise<T | null>): Promise<T | null> {
    const client = this.#client(name);
    if (client.waiting >= MAX_WAITING_EACH) throw overloaded();
    client.waiting++;
    try {
      await this.#pause(client);
      const found = await this.#inTurn(check);
      if (found === null) this.#failed(client);
      else client.failures = 0;
      return found;
    } finally {
      client.waiting--;
      if (client.waiting === 0 && client.failures === 0) this.#clients.delete(name);
    }
  }

  #client(name: string): Client {
    const known = this.#clients.get(name);
    if (known !== undefined) return known;
    if (this.#clients.size >= MAX_CLIENTS) this.#forgetSome();
    const client = { failures: 0, lastFailureMono: 0, waiting: 0 };
    this.#clients.set(name, client);
    return client;
  }

  /** Those that have been quiet; if all are busy, the ones known longest. */
  #forgetSome(): void {
    const quietSince = this.#clock.monoMs() - FORGIVE_MS;
    for (const [name, { waiting, lastFailureMono }] of this.#clients) {
      if (waiting === 0 && lastFailureMono < quietSince) this.#clients.delete(name);
    }
    for (const [name, { waiting }] of this.#clients) {
      if (this.#clients.size < MAX_CLIENTS) return;
      if (waiting === 0) this.#clients.delete(name);
    }
    if (this.#clients.size >= MAX_CLIENTS) throw overloaded();
  }

  #failed(client: Client): void {
    client.failures++;
    client.lastFailureMono = this.#clock.monoMs();
  }

  #pause(client: Client): Promise<void> {
    const quietMs = this.#clock.monoMs() - client.lastFailureMono;
    if (quietMs > FORGIVE_MS) client.failures = 0;
    const paid = client.failures - FREE_TRIES;
    if (paid < 0) return Promise.resolve();
    const pauseMs = Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** paid) - quietMs;
    if (pauseMs <= 0) return Promise.resolve();
    return new Promise((resolve) => void this.#clock.after(pauseMs, resolve));
  }

  async #inTurn<T>(check: () => Promise<T>): Promise<T> {
    if (this.#running >= MAX_RUNNING) {
      if (this.#queue.length >= MAX_QUEUED) throw overloaded();
      // Whoever ends hands over its place: #running stays as it is.
      await new Promise<void>((resolve) => this.#queue.push(resolve));
    } else {
      this.#running++;
    }
    try {
      return await check();
    } finally {
      const next = this.#queue.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }
}

function overloaded(): TroupeError {
  return new TroupeError('actor/overloaded', 'too many logins at once: try again in some seconds');
}
