// Removes a node that will not return. What was on it is given up by its owners, who hear of it by presence.ts.
//
// N1  A node's own daemon decides for it, under its member key. While that key is there nobody else does: a node whose daemon
//     runs, or may come back within its lease, is not removed.
// N2  One transaction: no such member, the node's record as it was read, its admission as it was read. So a node is
//     removed or joins, never both, and one that has been removed is told so when it tries (membership.ts, M5).
import type { Clock } from '../../actors/kernel/clock.ts';
import { TroupeError } from '../../actors/kernel/errors.ts';
import type { Random, TurnWrite } from '../../actors/kernel/ports.ts';
import { readSnapshot } from '../../actors/kernel/snapshot.ts';
import { ulidFactory } from '../../actors/kernel/ulid.ts';
import { node as nodeKind } from '../../actors/node/node.ts';
import { removed } from '../../actors/node/removal.ts';
import { nodeRef } from '../../actors/node/state.ts';
import {
  admissionKey,
  decodeAdmission,
  encodeAdmission,
} from '../../transport/sharding/admission.ts';
import { readEntry, type StoreJournal } from '../../transport/sharding/journal.ts';
import type { Keys } from '../../transport/store/keys.ts';
import type { Compare, Entry, Store } from '../../transport/store/store.ts';

export interface NodeRemovalOptions {
  /** Who removes; on the event. */
  readonly node: string;
  readonly store: Store;
  readonly keys: Keys;
  readonly journal: Pick<StoreJournal, 'ops' | 'noteWritten'>;
  readonly clock: Clock;
  readonly random: Random;
}

/** Somebody else has written in between: read again. */
const TRIES = 5;

export class NodeRemoval {
  readonly #options: NodeRemovalOptions;
  readonly #eventId: (nowMs: number) => string;

  constructor(options: NodeRemovalOptions) {
    this.#options = options;
    this.#eventId = ulidFactory(options.random);
  }

  /**
   * Resolves to the store revision of the removal; quiet when it is removed already. Errors: `object/not-found`,
   * `node/is-member` (N1), `store/*`.
   */
  async remove(name: string, trace: string): Promise<number> {
    const { store, keys } = this.#options;
    for (let tried = 0; tried < TRIES; tried++) {
      const object = await store.get(keys.object('node', name));
      if (object === null) throw new TroupeError('object/not-found', 'node not found');
      const member = await store.get(keys.member(name));
      if (member !== null) throw isMember(name);
      const revision = await this.#try(name, object, trace);
      if (revision !== null) return revision;
    }
    const message = `node ${name} was changed by somebody else again and again; try again`;
    throw new TroupeError('store/conflict', message);
  }

  /** Null: something is not as it was read. */
  async #try(name: string, object: Entry, trace: string): Promise<number | null> {
    const { store, keys, journal } = this.#options;
    const at = admissionKey(keys, name);
    const admission = await store.get(at);
    const write = this.#write(name, object, trace);
    if (write === null) return object.modRevision;
    const key = (admission === null ? null : decodeAdmission(admission.value))?.key ?? '';
    const value = encodeAdmission({ node: name, key, isRemoved: true });
    const compare: Compare[] = [
      { target: 'create', key: keys.member(name), is: '==', than: 0 },
      { target: 'mod', key: object.key, is: '==', than: object.modRevision },
      { target: 'mod', key: at, is: '==', than: admission?.modRevision ?? 0 },
    ];
    // Its archive does not come back either: nobody waits for it, or asks it.
    const archive = { op: 'delete', key: keys.archive(name) } as const;
    const then = [...journal.ops(write), { op: 'put', key: at, value } as const, archive];
    const { succeeded, revision } = await store.txn({ compare, then });
    if (succeeded) journal.noteWritten(write, revision);
    return succeeded ? revision : null;
  }

  /** As the kernel writes a turn; null when there is nothing to change. */
  #write(name: string, object: Entry, trace: string): TurnWrite | null {
    const { clock, node } = this.#options;
    const now = clock.nowMs();
    const { snapshot } = readEntry(object);
    const { state, events } = removed(readSnapshot(nodeKind.snapshot, snapshot), now);
    if (events.length === 0) return null;
    return {
      address: nodeRef(name),
      epoch: 0,
      snapshot: { schema: nodeKind.snapshot.schema, state, trace },
      events: events.map((draft) => ({ ...draft, id: this.#eventId(now), atMs: now, node, trace })),
      index: { before: null, after: null },
    };
  }
}

function isMember(node: string): TroupeError {
  return new TroupeError(
    'node/is-member',
    `node ${node} is a member of the cluster: its guests may run. To take it out, delete or move what is on it, stop its daemon, turn the machine off, and delete the node then; to give it nothing new, drain it`,
  );
}
