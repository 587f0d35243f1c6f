// Forgets the fences of objects that are gone, so that the ledger does not keep a row for each object there ever was.
//
// A fence may go when no want can come any more that it would have to refuse:
// - its owner has nothing on this machine (no ledger entry);
// - the store itself, not the copy, has no such object, or has it as deleted, which is final. An object is stored before
//   its first want is sent, and its id is never given again: it is not one that is only being made;
// - all that was so at the sweep before, with the same fence: longer ago than any message can be under way.
import { parseAddress } from '../../actors/kernel/kind.ts';
import type { Journal } from '../../actors/kernel/ports.ts';
import type { Ledger, OwnedFence } from '../drivers/ledger.ts';

export interface FenceSweepOptions {
  readonly ledger: Pick<Ledger, 'idleFences' | 'forgetFence'>;
  readonly journal: Pick<Journal, 'load'>;
}

export class FenceSweep {
  readonly #options: FenceSweepOptions;
  /** Owners that were gone at the last sweep, with their fence. */
  #gone = new Map<string, OwnedFence>();

  constructor(options: FenceSweepOptions) {
    this.#options = options;
  }

  /** One sweep; resolves to how many fences it has forgotten. Let minutes pass between two. Errors: `store/*`, the ledger's. */
  async run(): Promise<number> {
    const { ledger } = this.#options;
    const gone = new Map<string, OwnedFence>();
    let forgotten = 0;
    for (const fence of ledger.idleFences()) {
      if (!(await this.#isGone(fence.owner))) continue;
      const before = this.#gone.get(fence.owner);
      const isSame = before?.epoch === fence.epoch && before.generation === fence.generation;
      if (isSame && ledger.forgetFence(fence)) forgotten++;
      else gone.set(fence.owner, fence);
    }
    this.#gone = gone;
    return forgotten;
  }

  async #isGone(owner: string): Promise<boolean> {
    const address = parseAddress(owner);
    if (address === undefined) return false;
    const loaded = await this.#options.journal.load(address);
    return loaded === null || isDeleted(loaded.snapshot.state);
  }
}

function isDeleted(state: unknown): boolean {
  return (
    typeof state === 'object' && state !== null && 'phase' in state && state.phase === 'deleted'
  );
}
