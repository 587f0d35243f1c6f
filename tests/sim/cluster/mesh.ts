// The mesh between simulated daemons: asks that travel, and what becomes of them on the way.
//
// M1  A message is copied on its way: nobody shares a state with anybody.
// M2  An ask ends at its sender by its deadline at the latest, and says then that the outcome is unknown.
// M3  Each direction of each pair of nodes is cut on its own: a one-way loss loses questions or answers.
// M4  What is repeated arrives a second time later, up to LATEST_MS, and its answer goes nowhere.
import { TroupeError } from '../../../actors/kernel/errors.ts';
import type { Address, Message } from '../../../actors/kernel/kind.ts';
import type { AskReply, SendOptions } from '../../../actors/kernel/ports.ts';
import type { Peers } from '../../../transport/sharding/router.ts';
import type { LocalClock, VirtualClock } from './virtual-clock.ts';

/** How long a repeated message may have been under way. */
const LATEST_MS = 20_000;
/** After this long without a sign of life a link is given up (transport/mesh). */
const SILENCE_MS = 15_000;
const ASK_TIMEOUT_MS = 10_000;

/** One daemon on the mesh. */
export interface Peer {
  readonly node: string;
  readonly clock: LocalClock;
  /** Delivers to its own actors and executors, or refuses. */
  receive(to: Address, message: Message, options: SendOptions): Promise<AskReply>;
}

export class SimMesh {
  readonly #clock: VirtualClock;
  readonly #random: () => number;
  readonly #peers = new Map<string, Peer>();
  readonly #cut = new Set<string>();
  /** One way, ms: uniform up to this. */
  maxDelayMs = 2;
  /** Probabilities. */
  loss = 0;
  repetition = 0;
  /** Asks that were sent. */
  sent = 0;

  constructor(clock: VirtualClock, random: () => number) {
    this.#clock = clock;
    this.#random = random;
  }

  /** A daemon takes part under its node's name; the returned function ends it. */
  join(peer: Peer): () => void {
    this.#peers.set(peer.node, peer);
    return () => {
      if (this.#peers.get(peer.node) === peer) this.#peers.delete(peer.node);
    };
  }

  /** Loses everything from one node to another. */
  cut(from: string, to: string): void {
    this.#cut.add(`${from}>${to}`);
  }

  /** No cuts, losses and repetitions any more. */
  heal(): void {
    this.#cut.clear();
    this.maxDelayMs = 2;
    this.loss = 0;
    this.repetition = 0;
  }

  /** How one daemon reaches the others. */
  peersOf(self: Peer): Peers {
    return { ask: (node, to, message, options) => this.#ask(self, node, to, { message, options }) };
  }

  #ask(
    from: Peer,
    node: string,
    to: Address,
    { message, options }: { message: Message; options: SendOptions },
  ): Promise<AskReply> {
    this.sent++;
    const { promise, resolve, reject } = Promise.withResolvers<AskReply>();
    const timeoutMs = options.timeoutMs ?? ASK_TIMEOUT_MS;
    const isLost = !this.#arrives(from.node, node);
    const patienceMs = Math.min(timeoutMs, isLost ? SILENCE_MS : Infinity);
    const timer = from.clock.after(patienceMs, () => reject(unanswered(node, timeoutMs)));
    const end = (settle: () => void) => {
      timer.cancel();
      settle();
    };
    const copy = structuredClone({ to, message, options: { ...options, timeoutMs } });
    if (!isLost) {
      this.#carry(node, copy, {
        answered: (reply) =>
          this.#back(node, from, () => end(() => resolve(structuredClone(reply)))),
        failed: (error) => this.#back(node, from, () => end(() => reject(error))),
      });
    }
    if (this.#random() < this.repetition) this.#repeat(from.node, node, copy);
    return promise;
  }

  /** Brings a copy to its receiver. One that is not there refuses the connection. */
  #carry(node: string, copy: Letter, outcome: Outcome): void {
    this.#clock.after(this.#delay(), () => {
      const peer = this.#peers.get(node);
      if (peer === undefined) return outcome.failed(unreachable(node));
      peer.clock.after(0, () => {
        peer
          .receive(copy.to, copy.message, copy.options)
          .then(outcome.answered, (error: unknown) => outcome.failed(asTroupeError(error)));
      });
    });
  }

  #back(node: string, from: Peer, run: () => void): void {
    if (!this.#arrives(node, from.node)) return;
    this.#clock.after(this.#delay(), () => from.clock.after(0, run));
  }

  #repeat(from: string, node: string, copy: Letter): void {
    this.#clock.after(this.#random() * LATEST_MS, () => {
      if (!this.#arrives(from, node)) return;
      const nobody = { answered: () => {}, failed: () => {} };
      this.#carry(node, structuredClone(copy), nobody);
    });
  }

  #arrives(from: string, to: string): boolean {
    const isLost = this.#random() < this.loss;
    return !isLost && !this.#cut.has(`${from}>${to}`);
  }

  #delay(): number {
    return this.#random() * this.maxDelayMs;
  }
}

interface Letter {
  readonly to: Address;
  readonly message: Message;
  readonly options: SendOptions;
}

interface Outcome {
  readonly answered: (reply: AskReply) => void;
  readonly failed: (error: TroupeError) => void;
}

function unanswered(node: string, timeoutMs: number): TroupeError {
  const text = `no reply from ${node} within ${timeoutMs} ms`;
  return new TroupeError('mesh/unreachable', text, { node, ambiguous: true });
}

function unreachable(node: string): TroupeError {
  return new TroupeError('mesh/unreachable', `${node} does not listen`, { node, ambiguous: false });
}

function asTroupeError(error: unknown): TroupeError {
  if (error instanceof TroupeError) return new TroupeError(error.code, error.message, error.detail);
  return new TroupeError('mesh/foreign-error', String(error));
}
