// Nodes that keep the history of one store in memory, in files of their own, with a clock turned by hand: as
// src/daemon/archive.ts puts them together, over a mesh that can be cut.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TroupeError } from '../../actors/kernel/errors.ts';
import type { EventType } from '../../actors/kernel/kind.ts';
import type { EventRecord, Router } from '../../actors/kernel/ports.ts';
import { ulidFactory } from '../../actors/kernel/ulid.ts';
import { archiveHere } from '../../src/archive/archive.ts';
import type { HistoryItem } from '../../src/archive/history.ts';
import type { Retention } from '../../src/archive/retention.ts';
import { archivePath, NodeHistory } from '../../src/daemon/archive.ts';
import { objectEvents } from '../../src/daemon/object-events.ts';
import { StoreJournal } from '../../transport/sharding/journal.ts';
import { fenceKey } from '../../transport/sharding/membership.ts';
import { GroupCommit } from '../../transport/store/group-commit.ts';
import { clusterKeys } from '../../transport/store/keys.ts';
import { MemoryCluster } from '../../transport/store/memory-cluster.ts';
import { MemoryStore } from '../../transport/store/memory-store.ts';
import { keptLog, ManualClock, seededRandom } from './kernel.ts';

export const keys = clusterKeys('test');

export const FOR_EVER: Retention = {
  eventAgeMs: {
    audit: null,
    mutate: null,
    status: null,
    usage: null,
    resources: null,
    prune: null,
    historic: null,
  },
  eventsPerObject: null,
  versionAgeMs: null,
  versionsPerObject: null,
};

export interface Change {
  readonly namespace?: string;
  readonly phase?: string;
  readonly type?: EventType;
  readonly trace?: string;
}

export class HistoryWorld {
  readonly clock = new ManualClock();
  readonly server = new MemoryCluster({ clock: this.clock });
  readonly directory = mkdtempSync(join(tmpdir(), `troupe-history-${process.pid}-`));
  readonly nodes = new Map<string, HistoryNode>();
  readonly members = new Set<string>();
  /** Whom nobody reaches. */
  readonly cut = new Set<string>();
  readonly random = seededRandom(1);
  readonly newId = ulidFactory(this.random);

  /** Starts the node's daemon on the files that it has left. */
  async start(name: string, options: Partial<StartOptions> = {}): Promise<HistoryNode> {
    const node = new HistoryNode(this, name, options);
    this.nodes.set(name, node);
    this.members.add(name);
    await this.settled(node.start());
    return node;
  }

  pathOf(name: string): string {
    return archivePath(join(this.directory, name));
  }

  loseFile(name: string): void {
    rmSync(this.pathOf(name));
  }

  damageFile(name: string): void {
    writeFileSync(this.pathOf(name), 'this is no database at all, and never was one'.repeat(200));
  }

  hasFile(name: string): boolean {
    return existsSync(this.pathOf(name));
  }

  /** Turns the clock until the promise has settled. */
  async settled<T>(promise: Promise<T>): Promise<T> {
    let isOver = false;
    const over = () => {
      isOver = true;
    };
    promise.then(over, over);
    for (let turns = 0; !isOver; turns++) {
      if (turns > 10_000) throw new Error('not within 10,000 turns of 10 ms');
      await this.clock.advance(10);
    }
    return promise;
  }

  async close(): Promise<void> {
    for (const node of this.nodes.values()) await this.settled(node.stop());
    rmSync(this.directory, { recursive: true });
  }
}

interface StartOptions {
  readonly hasArchive: boolean;
  readonly retention: Retention;
}

export class HistoryNode {
  readonly name: string;
  readonly store: MemoryStore;
  readonly history: NodeHistory;
  readonly journal: StoreJournal;
  readonly lines;
  readonly #world: HistoryWorld;
  readonly #listeners = new Set<() => void>();
  #isStopped = false;

  constructor(world: HistoryWorld, name: string, options: Partial<StartOptions>) {
    const { clock, server, random, members } = world;
    const { log, lines } = keptLog();
    this.name = name;
    this.lines = lines;
    this.#world = world;
    this.store = new MemoryStore({ cluster: server });
    const listeners = this.#listeners;
    this.history = new NodeHistory({
      node: name,
      path: options.hasArchive === false ? null : world.pathOf(name),
      cluster: 'test',
      retention: options.retention ?? FOR_EVER,
      store: this.store,
      keys,
      standpoint: {
        epochOf: () => 1,
        isMember: (node) => members.has(node),
        onChange: (listener) => {
          listeners.add(listener);
          return () => void listeners.delete(listener);
        },
      },
      clock,
      random,
      log,
      archive: archiveHere,
    });
    const commits = new GroupCommit({ store: this.store, clock });
    this.journal = new StoreJournal(this.store, commits, keys, this.history.outbox);
  }

  async start(): Promise<void> {
    await this.history.start(this.#router());
  }

  /** As a daemon that is told to. */
  async stop(): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#world.members.delete(this.name);
    await this.history.close();
    await this.store.close();
  }

  #router(): Router {
    const { nodes, cut, members } = this.#world;
    return {
      ask: async (to, message, { trace }) => {
        const node = nodes.get(to.id);
        if (node === undefined || cut.has(to.id) || cut.has(this.name) || !members.has(to.id))
          throw new TroupeError('mesh/unreachable', `${to.id} is out of reach`);
        return { value: await node.history.service(to, message, trace), revision: 0 };
      },
      tell: () => {},
    };
  }

  /** A turn of an instance, with one event; resolves to its revision. */
  async write(id: string, change: Change | null = {}): Promise<number> {
    const { clock, newId } = this.#world;
    const address = { kind: 'instance', id };
    const fence = fenceKey(keys, address);
    const epoch = (await this.store.get(fence))?.createRevision ?? (await this.#own(fence));
    const { namespace = 'lab', phase = 'created', type = 'mutate', trace = 't' } = change ?? {};
    const event: EventRecord = {
      id: newId(clock.nowMs()),
      atMs: clock.nowMs(),
      node: this.name,
      trace,
      type,
      message: `${id} is ${phase}`,
    };
    const state = { namespace, phase, sinceMs: clock.nowMs() };
    const snapshot = change === null ? null : { schema: 1, state, trace };
    const index = { before: null, after: null };
    const write = { address, epoch, snapshot, events: [event], index };
    return this.#world.settled(this.journal.commit(write));
  }

  #own(fence: string): Promise<number> {
    return this.store.put(fence, new Uint8Array());
  }

  /** Messages of an object's events as the API shows them, newest first. */
  async events(id: string, limit = -1, type: string | null = null): Promise<string[]> {
    const sources = { archive: this.history.reader, outbox: this.journal };
    const asked = objectEvents(sources, { kind: 'instance', id }, { limit, type });
    return (await this.#world.settled(asked)).map(({ message }) => message);
  }

  /** All that is replayed after a revision. */
  async replay(after = 0, limit = 7): Promise<HistoryItem[]> {
    const { history } = this.history;
    const items: HistoryItem[] = [];
    for (let from = after; ;) {
      const page = await this.#world.settled(history.read({ after: from, filter: {}, limit }));
      items.push(...page.items);
      from = page.through;
      if (!page.more) return items;
    }
  }

  /** Events in the outbox. */
  async outbox(): Promise<number> {
    return (await this.store.range({ prefix: keys.events() })).entries.length;
  }
}

/** What an item says, for comparisons. */
export function told(item: HistoryItem): string {
  if (item.what === 'event') return `${item.revision} ${item.event.message}`;
  return `gap ${item.from}-${item.to} ${item.count ?? 'unknown'} ${item.reason}`;
}
