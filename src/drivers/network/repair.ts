// What is wrong, and what mends it: plain data between the planners, which compare, and the one function that acts.
//
// R1  A planner is pure: wanted and observed in, repairs out. No repairs means nothing is run.
// R2  Repairs are carried out by tool in a fixed order, so that a thing is there before what refers to it.
// R3  What a repair cannot see yet (the FDB of a bridge made in the same pass) the next pass sees: the
//     caller observes again until nothing is left.
import type { Host, Errand } from './host.ts';
import { applyTable, type TableWanted } from './nft.ts';
import type { RecordedBy, Register } from './register.ts';

export type Step =
  | { readonly tool: 'namespace'; readonly command: 'add' | 'delete'; readonly namespace: string }
  /** `ip -batch`, on the host (null) or in a namespace. */
  | { readonly tool: 'ip'; readonly namespace: string | null; readonly lines: readonly string[] }
  | { readonly tool: 'bridge'; readonly lines: readonly string[] }
  | { readonly tool: 'nft'; readonly namespace: string | null; readonly table: TableWanted }
  | {
      readonly tool: 'setting';
      readonly namespace: string | null;
      readonly names: readonly string[];
      readonly value: string;
    };

/** Something that was not as wanted. */
export interface Finding {
  readonly resource: string;
  readonly name: string;
  readonly problem: 'missing' | 'different';
  /** A sentence for the operator: what was found. */
  readonly reason: string;
}

export interface Repair extends Finding {
  readonly step: Step;
}

/** What converging needs besides the wanted state. */
export interface Means {
  readonly register: Register;
  readonly host: Host;
  readonly by: RecordedBy;
  readonly errand: Errand;
}

/** Carries out repairs; `onTable` is told of each nft table's new fingerprint. */
export async function carryOut(
  repairs: readonly Repair[],
  host: Host,
  errand: Errand,
  onTable: (table: TableWanted, namespace: string | null, listing: string) => void,
): Promise<void> {
  const steps = repairs.map((repair) => repair.step);
  for (const step of steps) {
    if (step.tool === 'namespace') {
      await host.run('ip', ['netns', step.command, step.namespace], errand);
    }
  }
  for (const [namespace, lines] of ipLines(steps)) await host.ip(namespace, lines, errand);
  const fdb = steps.flatMap((step) => (step.tool === 'bridge' ? step.lines : []));
  if (fdb.length > 0) await host.bridge(fdb, errand);
  for (const step of steps) {
    if (step.tool === 'nft') {
      const listing = await applyTable(host, step.namespace, step.table, errand);
      onTable(step.table, step.namespace, listing);
    }
  }
  // Last: a router forwards only once its rules are in place.
  for (const step of steps) {
    if (step.tool === 'setting') {
      await host.setting(step.namespace, step.names, step.value, errand);
    }
  }
}

/** All lines for one namespace together, the host's first: its veths are what the namespaces get. */
function ipLines(steps: readonly Step[]): Map<string | null, string[]> {
  const lines = new Map<string | null, string[]>();
  for (const step of steps) {
    if (step.tool !== 'ip') continue;
    lines.set(step.namespace, [...(lines.get(step.namespace) ?? []), ...step.lines]);
  }
  return new Map([...lines].sort(([a], [b]) => Number(a !== null) - Number(b !== null)));
}
