// Ends what runs on a machine that was removed from the cluster: its instances are deleted, their addresses others'. The copies
// of blobs stay: of one they may be the last.
import type { Address } from '../../actors/kernel/kind.ts';
import type { Router } from '../../actors/kernel/ports.ts';
import { Inventory, type InventoryOptions } from './inventory.ts';

export interface GiveUpOptions extends Omit<InventoryOptions, 'router'> {
  readonly trace: string;
}

/** Everything is tried; what could not be removed is logged, and found again at the next start. Never rejects. */
export async function giveUpMachine({ trace, ...parts }: GiveUpOptions): Promise<void> {
  const { log, node } = parts;
  log('warn', 'this machine was removed from the cluster: its guests and networks are ended', {
    trace,
    node,
  });
  try {
    const drifts = await new Inventory({ ...parts, router: nothingIsKept }).run(trace);
    const left = drifts.filter(({ repaired }) => !repaired);
    if (left.length > 0) log('error', 'not all could be removed', { trace, left });
  } catch (error) {
    log('error', 'not all could be removed', { trace, error });
  }
}

/** Answers for the owners: their instances and networks are not here any more. */
const nothingIsKept: Router = {
  ask: ({ kind }: Address) => {
    const value = { isKept: kind === 'blob', generation: 0 };
    return Promise.resolve({ value, revision: 0 });
  },
  tell: () => undefined,
};
