// Sends a message to whoever decides for its address, here or on another daemon.
//
// R1  Who receives from a peer delivers locally or refuses; it never passes on. So a message takes one hop, and
//     two stale views cannot send it in circles.
// R2  `shard/not-owner` says that the message was not carried out: it is sent again, to the owner that the
//     directory names then. Other failures go to the sender: the outcome may be unknown.
// R3  While a shard moves messages wait for its owner, QUEUE_MS at most and MAX_WAITING of them; after that the
//     sender gets `shard/not-owner`, which says to try again.
// R4  A tell is an ask whose answer nobody waits for: it is sent again like one, so it is lost only when that is
//     logged. Tells that wait for a shard may overtake each other.
import type { Clock } from '../../actors/kernel/clock.ts';
import { TroupeError } from '../../actors/kernel/errors.ts';
import { formatAddress, type Address, type Message } from '../../actors/kernel/kind.ts';
import type { AskReply, Router, SendOptions } from '../../actors/kernel/ports.ts';

const ASK_TIMEOUT_MS = 10_000;
/** A hand-over takes less; after a death nobody owns the shard for as long as the lease lasts. */
const QUEUE_MS = 5_000;
/** Between two looks while the directory says nothing new. */
const LOOK_AGAIN_MS = 100;
const MAX_WAITING = 10_000;

/** How messages reach other daemons. */
export interface Peers {
  ask(node: string, to: Address, message: Message, options: SendOptions): Promise<AskReply>;
}

/** Where addresses are decided for, as far as is known here. */
export interface Routes {
  /** Null: nobody, as far as we know. */
  nodeOf(address: Address): string | null;
  /** Calls after each change; the returned function ends it. */
  onChange(listener: () => void): () => void;
}

export interface ClusterRouterOptions {
  readonly node: string;
  readonly local: Router;
  readonly peers: Peers;
  readonly routes: Routes;
  readonly clock: Clock;
  readonly onLostTell: (to: Address, message: Message, error: unknown) => void;
}

/** The router of a daemon among others. */
export function clusterRouter(options: ClusterRouterOptions): Router {
  const { node: self, local, peers, clock, onLostTell } = options;
  const queue = new RouteQueue(options);

  async function ask(to: Address, message: Message, options: SendOptions): Promise<AskReply> {
    const endAtMono = clock.monoMs() + (options.timeoutMs ?? ASK_TIMEOUT_MS);
    let node = await queue.find(to, endAtMono, null);
    for (;;) {
      const left = { ...options, timeoutMs: endAtMono - clock.monoMs() };
      try {
        if (node === self) return await local.ask(to, message, left);
        return await peers.ask(node, to, message, left);
      } catch (error) {
        if (!isMisrouted(error)) throw error;
        node = await queue.find(to, endAtMono, { node, error });
      }
    }
  }

  return {
    ask,
    tell(to, message, options) {
      ask(to, message, options).catch((error: unknown) => {
        if (isLoss(error)) onLostTell(to, message, error);
      });
    },
  };
}

/** What came of the node that a message was sent to last. */
interface Miss {
  readonly node: string;
  readonly error: unknown;
}

/** Messages whose owner is not known, or was another. */
class RouteQueue {
  readonly #options: ClusterRouterOptions;
  #waiting = 0;

  constructor(options: ClusterRouterOptions) {
    this.#options = options;
  }

  /** Who decides for `to`; after a miss, another than that, or the same after a pause. */
  async find(to: Address, endAtMono: number, miss: Miss | null): Promise<string> {
    const { routes, clock } = this.#options;
    const known = routes.nodeOf(to);
    if (known !== null && known !== miss?.node) return known;
    if (this.#waiting >= MAX_WAITING) throw unowned(to, 'too many messages wait for shards', miss);
    const giveUpAtMono = Math.min(endAtMono, clock.monoMs() + QUEUE_MS);
    this.#waiting++;
    try {
      for (;;) {
        await this.#changeOrPause(giveUpAtMono);
        const node = routes.nodeOf(to);
        if (clock.monoMs() >= giveUpAtMono) throw unowned(to, 'its shard is moving', miss);
        if (node !== null) return node;
      }
    } finally {
      this.#waiting--;
    }
  }

  #changeOrPause(untilMono: number): Promise<void> {
    const { routes, clock } = this.#options;
    return new Promise((resolve) => {
      const pauseMs = Math.min(LOOK_AGAIN_MS, untilMono - clock.monoMs());
      const timer = clock.after(pauseMs, () => end());
      const forget = routes.onChange(() => end());
      const end = () => {
        timer.cancel();
        forget();
        resolve();
      };
    });
  }
}

function isMisrouted(error: unknown): boolean {
  return error instanceof TroupeError && error.code === 'shard/not-owner';
}

/** What the actor itself says to a message is no loss. */
function isLoss(error: unknown): boolean {
  return !(error instanceof TroupeError) || !/^(object|network|image|api)\//.test(error.code);
}

function unowned(to: Address, why: string, miss: Miss | null): TroupeError {
  const text = `no daemon decides for ${formatAddress(to)} now (${why}); try again in a few seconds`;
  return new TroupeError('shard/not-owner', text, {}, miss?.error);
}
