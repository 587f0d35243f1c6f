// This node's part in the cluster's history: its archive if it has the role `events`, else the way to the others'; and the
// outbox of what it decides for.
import { join } from 'node:path';
import type { Clock } from '../../actors/kernel/clock.ts';
import { TroupeError } from '../../actors/kernel/errors.ts';
import type { Json } from '../../actors/kernel/json.ts';
import type { Log, Random, Router } from '../../actors/kernel/ports.ts';
import type { Service } from '../../actors/kernel/router.ts';
import {
  ArchiveDirectory,
  endProgress,
  sayProgress,
} from '../../transport/sharding/archive-progress.ts';
import { OutboxKeeper, type Standpoint } from '../../transport/sharding/outbox-keeper.ts';
import type { Keys } from '../../transport/store/keys.ts';
import type { Store } from '../../transport/store/store.ts';
import { archiveInThread, type Archive } from '../archive/archive.ts';
import {
  archiveRef,
  decodeArchiveMessage,
  type ArchiveMessage,
} from '../archive/archive-message.ts';
import { ArchiveReader } from '../archive/archive-reader.ts';
import { EdgeHistory } from '../archive/edge-history.ts';
import type { History } from '../archive/history.ts';
import { LocalHistory } from '../archive/local-history.ts';
import { Progress } from '../archive/progress.ts';
import { Recorder } from '../archive/recorder.ts';
import type { Retention } from '../archive/retention.ts';
import { Sweeper } from '../archive/sweeper.ts';

export interface NodeHistoryOptions {
  readonly node: string;
  /** Null: this node keeps no archive for the cluster. */
  readonly path: string | null;
  readonly cluster: string;
  readonly retention: Retention;
  readonly store: Store;
  readonly keys: Keys;
  readonly standpoint: Standpoint;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** How archives are worked on; in a thread by default. */
  readonly archive?: (options: { path: string; cluster: string }) => Archive;
}

/** In the data directory. */
export function archivePath(dataDir: string): string {
  return join(dataDir, 'archive', 'history.db');
}

/** What is kept in memory for the live streams of a node without an archive. */
const EDGE: Pick<Retention, 'eventsPerObject' | 'versionAgeMs' | 'versionsPerObject'> = {
  eventsPerObject: 100,
  versionAgeMs: 0,
  versionsPerObject: 1,
};
const EDGE_AGE_MS = 600_000;
/** An export page takes a slow disk a moment. */
const ASK_TIMEOUT_MS = 20_000;
const PATIENCE_MS = 5_000;

export class NodeHistory {
  readonly outbox: OutboxKeeper;
  /** Answers `archive/<node>`. */
  readonly service: Service;
  readonly reader: ArchiveReader;
  readonly history: History;
  readonly #options: NodeHistoryOptions;
  readonly #archives: ArchiveDirectory;
  readonly #archive: Archive;
  readonly #progress: Progress;
  #recorder: Recorder | null = null;
  #sweeper: Sweeper | null = null;
  #router: Router | null = null;
  #since = 0;

  constructor(options: NodeHistoryOptions) {
    const { store, keys, standpoint: cluster, clock, random, log, node, path } = options;
    this.#options = options;
    const timing = { clock, random: () => random.number() };
    this.#archives = new ArchiveDirectory({ store, keys, ...timing, log });
    this.outbox = new OutboxKeeper({ store, keys, archives: this.#archives, cluster, clock, log });
    const make = options.archive ?? archiveInThread;
    this.#archive = make({ path: path ?? ':memory:', cluster: options.cluster });
    const say = (revision: number) => sayProgress(store, keys, node, revision);
    this.#progress = new Progress({ flush: () => this.#archive.flush(), say, clock, log });
    this.service = (_to, body) => this.#answer(decodeArchiveMessage(body));
    this.reader = new ArchiveReader((message) => this.#ask(message));
    this.history = this.#makeHistory();
  }

  /** Begins to record; what is made after it is recorded from its first version on. Errors: `store/*`. */
  async start(router: Router): Promise<void> {
    const { store, keys, node, path, clock, random, log, retention } = this.#options;
    this.#router = router;
    await this.#archives.ready();
    if (path === null) await endProgress(store, keys, node);
    const isKnown = this.#archives.recorded.has(node);
    const recorder = this.#makeRecorder();
    this.#recorder = recorder;
    const kept = path === null ? { ...EDGE, eventAgeMs: edgeAges(retention) } : retention;
    const parts = { node, archive: this.#archive, retention: kept, clock, log };
    this.#sweeper = new Sweeper({ ...parts, random: () => random.number() });
    const begun = recorder.ready().then(
      () => {
        this.#since = recorder.revision;
        if (path !== null && !isKnown) this.#progress.recorded(recorder.revision, Infinity);
      },
      // Closed before.
      () => undefined,
    );
    await this.#atMost(PATIENCE_MS, begun);
  }

  /** An archive that is large, far behind or broken keeps no daemon from its work. */
  async #atMost(ms: number, begun: Promise<void>): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = this.#options.clock.after(ms, resolve);
    await Promise.race([promise, begun]);
    timer.cancel();
  }

  /** Close it before the store. */
  async close(): Promise<void> {
    await this.#sweeper?.stop();
    await this.#recorder?.close();
    await this.outbox.stop();
    if (this.#options.path !== null) await this.#progress.close();
    await this.#archive.close();
    await this.#archives.close();
  }

  #makeRecorder(): Recorder {
    const { store, keys, node, path, clock, random, log } = this.#options;
    const hasFile = path !== null;
    return new Recorder({
      store,
      keys,
      archive: this.#archive,
      peers: {
        others: () => (hasFile ? this.#others() : []),
        ask: (other, message) => this.#askNode(other, message),
      },
      clock,
      random: () => random.number(),
      log: hasFile ? log : quietly(log, node),
      onRecorded: (revision, events) => {
        if (hasFile) this.#progress.recorded(revision, events);
      },
    });
  }

  #makeHistory(): History {
    const own = new ArchiveReader((message) => this.#archive.answer(message));
    const recorded = () => this.#recorder;
    const live = {
      get revision() {
        return recorded()?.revision ?? 0;
      },
      onRecorded: (listener: Parameters<History['onRecorded']>[0]) =>
        recorded()?.onRecorded(listener) ?? (() => {}),
    };
    const recent = new LocalHistory(live, own);
    if (this.#options.path !== null) return recent;
    return new EdgeHistory({ recent, older: this.reader, since: () => this.#since });
  }

  async #answer(message: ArchiveMessage): Promise<Json> {
    if (this.#options.path !== null) {
      if (message.kind === 'status') await this.#standUpToDate();
      return this.#archive.answer(message);
    }
    const { node } = this.#options;
    throw new TroupeError('api/not-found', `${node} keeps no archive (role events)`, { node });
  }

  /** What held nothing to record is not in the file (recorder.ts), and is not missing there either. */
  async #standUpToDate(): Promise<void> {
    const { cursor } = await this.#archive.open();
    if (cursor > 0) await this.#archive.advance(this.#recorder?.revision ?? 0);
  }

  /** Those that have the most first: the nearest to now. */
  #others(): string[] {
    const { node } = this.#options;
    return [...this.#archives.recorded]
      .filter(([name]) => name !== node)
      .toSorted(([, a], [, b]) => b - a)
      .map(([name]) => name);
  }

  /** Our own archive, else the first of the others that answers. */
  async #ask(message: ArchiveMessage): Promise<Json> {
    const { path, standpoint } = this.#options;
    let failure: unknown = new TroupeError(
      'api/not-found',
      'no node keeps an archive (role events)',
    );
    if (path !== null) {
      try {
        return await this.#archive.answer(message);
      } catch (error) {
        failure = error;
      }
    }
    for (const other of this.#others().filter((name) => standpoint.isMember(name))) {
      try {
        return await this.#askNode(other, message);
      } catch (error) {
        failure = error;
      }
    }
    throw failure;
  }

  async #askNode(node: string, message: ArchiveMessage): Promise<Json> {
    const { random } = this.#options;
    if (this.#router === null) throw new TroupeError('mesh/unreachable', 'not started yet');
    const options = { trace: random.uuid(), timeoutMs: ASK_TIMEOUT_MS };
    return (await this.#router.ask(archiveRef(node), message, options)).value;
  }
}

/** Of what is in memory for a while only, a gap before it is no news. */
function quietly(log: Log, node: string): Log {
  return (level, message, fields) =>
    log(level === 'warn' ? 'debug' : level, message, { ...fields, node });
}

function edgeAges(retention: Retention): Retention['eventAgeMs'] {
  const types = Object.keys(retention.eventAgeMs);
  return Object.fromEntries(types.map((type) => [type, EDGE_AGE_MS])) as Retention['eventAgeMs'];
}
