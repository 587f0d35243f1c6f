// Which guarded writes may share a transaction. Pure: no store, no time.
//
// P1  Two writes clash when one writes what the other writes or guards: a transaction compares before
//     it writes, so such a pair must run one after the other, in the order in which they came.
// P2  Writes that guard the same keys do not clash: all writes of a shard compare its epoch.
// P3  A write that clashes with one that waits, waits too: nothing overtakes on its own keys.
import { compareBytes, MAX_TXN_OPS, opBytes } from './limits.ts';
import type { Compare, GetOp, Txn, WriteOp } from './store.ts';

/** Operations that take effect together, if all guards hold. */
export interface Write {
  readonly guards: readonly Compare[];
  readonly ops: readonly WriteOp[];
}

/** The keys that some writes touch. */
export class Footprint {
  readonly #written = new Set<string>();
  readonly #guarded = new Set<string>();
  readonly #prefixes = new Set<string>();

  add({ guards, ops }: Write): void {
    for (const { key } of guards) this.#guarded.add(key);
    for (const op of ops) {
      if (op.op === 'delete-prefix') this.#prefixes.add(op.prefix);
      else this.#written.add(op.key);
    }
  }

  clashes({ guards, ops }: Write): boolean {
    return guards.some(({ key }) => this.#writes(key)) || ops.some((op) => this.#touches(op));
  }

  #writes(key: string): boolean {
    return this.#written.has(key) || some(this.#prefixes, (prefix) => key.startsWith(prefix));
  }

  #touches(op: WriteOp): boolean {
    if (op.op !== 'delete-prefix') return this.#guarded.has(op.key) || this.#writes(op.key);
    const under = (key: string) => key.startsWith(op.prefix);
    const overlaps = (prefix: string) => under(prefix) || op.prefix.startsWith(prefix);
    return (
      some(this.#written, under) || some(this.#guarded, under) || some(this.#prefixes, overlaps)
    );
  }
}

/** Writes that share a transaction. */
export class WriteGroup<W extends { readonly write: Write }> {
  readonly members: W[] = [];
  readonly footprint = new Footprint();
  readonly #guards = new Map<string, Compare>();
  #ops = 0;
  #bytes = 0;

  /** False when the group would be too large with it. The first write always fits. */
  tryAdd(member: W, maxOps: number, maxBytes: number): boolean {
    const { guards, ops } = member.write;
    const added = guards.filter((guard) => !this.#guards.has(identity(guard)));
    const sizeBytes = this.#bytes + sum(added.map(guardBytes)) + sum(ops.map(opBytes));
    const fits =
      this.#ops + ops.length <= maxOps &&
      this.#guards.size + added.length <= MAX_TXN_OPS &&
      sizeBytes <= maxBytes;
    if (!fits && this.members.length > 0) return false;
    for (const guard of added) this.#guards.set(identity(guard), guard);
    this.#ops += ops.length;
    this.#bytes = sizeBytes;
    this.members.push(member);
    this.footprint.add(member.write);
    return true;
  }

  /** Every guard once, every operation in order; when a guard fails, what the guards look at. */
  txn(): Txn & { readonly else: readonly GetOp[] } {
    const guards = [...this.#guards.values()];
    const whole = new Set(guards.filter(({ target }) => target === 'value').map(({ key }) => key));
    const keys = [...new Set(guards.map(({ key }) => key))];
    return {
      compare: guards,
      then: this.members.flatMap(({ write }) => write.ops),
      else: keys.map((key) => ({ op: 'get', key, keysOnly: !whole.has(key) })),
    };
  }
}

/** A guard costs its compare, and the read in else. */
function guardBytes(guard: Compare): number {
  return compareBytes(guard) + opBytes({ op: 'get', key: guard.key });
}

function identity(guard: Compare): string {
  const than = guard.target === 'value' ? Buffer.from(guard.than).toString('base64') : guard.than;
  return `${guard.target} ${guard.is} ${than} ${guard.key}`;
}

function some(all: ReadonlySet<string>, holds: (one: string) => boolean): boolean {
  for (const one of all) if (holds(one)) return true;
  return false;
}

function sum(all: readonly number[]): number {
  return all.reduce((total, one) => total + one, 0);
}
