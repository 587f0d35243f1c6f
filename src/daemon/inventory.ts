// What this machine has of whom, settled with the owners. The ledger says what there is; an owner whose actor runs elsewhere has no
// reason to speak when only this machine's daemon was started again, so it is asked, through the router.
//
// I1  An owner that keeps its things here is not asked again: it tells when that changes. An instance says its whole wish
//     again, and so hears how its guest is.
// I2  An owner that says no has them removed by the executor, as if it had wished so, under the fence that the
//     machine knows: a wish that comes meanwhile is newer and wins.
// I3  What the cluster knows no owner of is reported and left: the store may have been set back, and it is somebody's guest.
// I4  No answer is no answer: asked again at the next audit.
import { blobRef } from '../../actors/blob/state.ts';
import { instanceRef } from '../../actors/instance/state.ts';
import { codeOf, reasonOf, unlessGone } from '../../actors/kernel/errors.ts';
import { parseAddress, type Address } from '../../actors/kernel/kind.ts';
import type { Log, Router } from '../../actors/kernel/ports.ts';
import type { Drift } from '../../actors/network/ports.ts';
import { networkRef } from '../../actors/network/state.ts';
import { decodeAccount, type Account } from '../../actors/node/account.ts';
import { executorRef, type Resource } from '../../actors/node/executor-message.ts';
import type { Executors } from '../../actors/node/executors.ts';
import type { Ledger } from '../drivers/ledger.ts';

export interface InventoryOptions {
  readonly node: string;
  readonly ledger: Pick<Ledger, 'list' | 'lastFence'>;
  readonly executors: Pick<Executors, 'handle' | 'isWanted'>;
  readonly router: Router;
  readonly log: Log;
}

interface Owner extends Address {
  /** `kind/id`. */
  readonly name: string;
  readonly resource: Resource;
}

/** In a row; then the others are left for the next time. */
const MOST_SILENT = 3;

const RESOURCES: Readonly<Record<string, Resource>> = {
  instance: 'domain',
  network: 'segment',
  blob: 'replica',
};

export class Inventory {
  readonly #options: InventoryOptions;
  /** I1; those that are gone from the ledger are dropped. */
  #kept = new Set<string>();

  constructor(options: InventoryOptions) {
    this.#options = options;
  }

  /** Asks every owner that has not been heard of; resolves to what belonged to nobody. */
  async run(trace: string): Promise<Drift[]> {
    const { executors } = this.#options;
    const owners = this.#owners();
    const names = new Set(owners.map(({ name }) => name));
    this.#kept = new Set([...this.#kept].filter((name) => names.has(name)));
    const drifts: Drift[] = [];
    let silent = 0;
    for (const owner of owners) {
      const isSettled = this.#kept.has(owner.name) || executors.isWanted(owner.name) !== undefined;
      if (isSettled || silent >= MOST_SILENT) continue;
      try {
        const drift = await this.#settle(owner, trace);
        if (drift !== null) drifts.push(drift);
        silent = 0;
      } catch (error) {
        silent++;
        const { log } = this.#options;
        log('info', 'not known whether it is to stay', { trace, owner: owner.name, error });
      }
    }
    return drifts;
  }

  #owners(): Owner[] {
    const names = new Set(this.#options.ledger.list().map(({ owner }) => owner));
    return [...names].flatMap((name) => {
      const address = parseAddress(name);
      const resource = address === undefined ? undefined : RESOURCES[address.kind];
      if (address === undefined || resource === undefined) return [];
      return [{ ...address, name, resource }];
    });
  }

  async #settle(owner: Owner, trace: string): Promise<Drift | null> {
    const account = await this.#ask(owner, trace);
    if (account === undefined) {
      const reason = `the cluster knows no ${owner.name}, which this machine has things of; if it is not to come back, remove them by hand`;
      return toDrift(owner, reason, false);
    }
    if (account.isKept) this.#kept.add(owner.name);
    return account.isKept ? null : await this.#remove(owner, account, trace);
  }

  /** Undefined: there is no such object. */
  async #ask({ kind, id }: Owner, trace: string): Promise<Account | undefined> {
    const { node, router } = this.#options;
    const message = { kind: 'account-for', node } as const;
    const refs = { instance: instanceRef, network: networkRef, blob: blobRef };
    const asked = () => {
      if (kind === 'instance') return router.ask(refs.instance(id), message, { trace });
      if (kind === 'network') return router.ask(refs.network(id), message, { trace });
      return router.ask(refs.blob(id), message, { trace });
    };
    const reply = await unlessGone(asked());
    return reply === undefined ? undefined : decodeAccount(reply.value);
  }

  /** I2. */
  async #remove(owner: Owner, account: Account, trace: string): Promise<Drift | null> {
    const { node, ledger, executors } = this.#options;
    // It has spoken while it was asked.
    if (executors.isWanted(owner.name) !== undefined) return null;
    const { epoch, generation } = ledger.lastFence(owner.name) ?? { epoch: 0, generation: 0 };
    const fence = { epoch, generation: Math.max(generation, account.generation) };
    const wish = { kind: 'want', owner: owner.name, ...fence, spec: null } as const;
    const reason = 'its owner has nothing on this machine';
    try {
      await executors.handle(executorRef(node, owner.resource, owner.id), wish, trace);
      return toDrift(owner, reason, true);
    } catch (error) {
      if (codeOf(error) === 'executor/stale-epoch') return null;
      return toDrift(owner, `${reason}; ${reasonOf(error)}`, false);
    }
  }
}

function toDrift({ name, resource, id }: Owner, reason: string, repaired: boolean): Drift {
  return { owner: name, resource, name: id, problem: 'unknown', reason, repaired };
}
