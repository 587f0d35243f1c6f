// TCP ports for the consoles of the domains of this machine.
//
// P1  A port is chosen at random, is held by no other domain in the ledger, running or not, and can be
//     bound right now: QEMU's own bind comes later and may still clash, then the caller chooses again.
// P2  Two choices that run at the same time never give the same port.
import { createServer } from 'node:net';
import { TroupeError } from '../../../actors/kernel/errors.ts';

export interface PortRange {
  readonly first: number;
  /** Inclusive. */
  readonly last: number;
}

export interface PortPoolOptions {
  readonly range: PortRange;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Ports that the ledger says some domain holds. */
  readonly held: () => ReadonlySet<number>;
}

const TRIES = 100;

export class PortPool {
  readonly #options: PortPoolOptions;
  readonly #choosing = new Set<number>();

  constructor(options: PortPoolOptions) {
    this.#options = options;
  }

  /**
   * Chooses one port for each address in `hosts` and gives them to `record`, which must put them
   * into the ledger before it returns. Error: `host/port-in-use` when no free port was found.
   */
  async choose<T>(hosts: readonly string[], record: (ports: number[]) => T): Promise<T> {
    const ports: number[] = [];
    try {
      for (const host of hosts) ports.push(await this.#one(host));
      return record(ports);
    } finally {
      for (const port of ports) this.#choosing.delete(port);
    }
  }

  async #one(host: string): Promise<number> {
    const { range, random, held } = this.#options;
    for (let attempt = 0; attempt < TRIES; attempt++) {
      const port = range.first + Math.floor(random() * (range.last - range.first + 1));
      if (this.#choosing.has(port) || held().has(port)) continue;
      this.#choosing.add(port);
      if (await canBind(host, port)) return port;
      this.#choosing.delete(port);
    }
    throw new TroupeError(
      'host/port-in-use',
      `no free TCP port on ${host} between ${range.first} and ${range.last} in ${TRIES} tries; widen the range of console ports`,
      { host, first: range.first, last: range.last },
    );
  }
}

/** True when a TCP server can listen on `host:port` at this moment. */
export function canBind(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
