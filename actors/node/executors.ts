// A machine's executors: each makes one real thing (a domain, a segment, a replica) match what its
// actor wants, one converging at a time.
//
// X1  A want older than one already seen is refused, across restarts of the daemon (fence in the ledger).
// X2  A newer want calls off the older one and waits for it to end: never two hands on one thing.
// X3  The same want again (its asker lost patience) waits for what is under way instead of beginning anew.
// X4  Nothing is destroyed that no actor has said is unwanted: isWanted() answers undefined until told.
import { plainEqual } from '../kernel/equal.ts';
import { reasonOf, TroupeError } from '../kernel/errors.ts';
import type { Json } from '../kernel/json.ts';
import { formatAddress, parseAddress, type Address } from '../kernel/kind.ts';
import type { Log } from '../kernel/ports.ts';
import { closed, received, Type } from '../kernel/schema.ts';
import type { WantedBy } from '../network/ports.ts';
import type { Resource } from './executor-message.ts';

/** Makes one sort of thing match; implemented beside this file over the drivers' ports. */
export interface Converger {
  /** Kind of the actors that own such things. */
  readonly ownerKind: string;
  /** Converges to the wanted spec; resolves to the report. */
  ensure(id: string, spec: unknown, by: WantedBy): Promise<Json>;
  /** Quiet when it is not there. */
  remove(id: string, by: WantedBy): Promise<void>;
}

/** Remembers the newest want of each owner across restarts; throws `executor/stale-epoch` for an older one. */
export interface Fencing {
  fence(owner: string, fence: { readonly epoch: number; readonly generation: number }): void;
  /** The newest want of an owner; undefined: there was none. */
  lastFence(owner: string): { readonly generation: number } | undefined;
}

export interface ExecutorsOptions {
  readonly node: string;
  readonly convergers: Readonly<Record<Resource, Converger>>;
  readonly fencing: Fencing;
  readonly log: Log;
}

/** What an executor is doing, for people. */
export interface ExecutorInspection {
  readonly address: string;
  readonly owner: string;
  readonly epoch: number;
  readonly generation: number;
  readonly isWanted: boolean;
  readonly isConverging: boolean;
  readonly lastError: string | null;
}

interface Run {
  readonly epoch: number;
  readonly generation: number;
  readonly spec: unknown;
  readonly abort: AbortController;
  readonly done: Promise<Json>;
}

interface Lane {
  readonly owner: Address;
  epoch: number;
  generation: number;
  isWanted: boolean;
  /** The last one asked for that has not ended. */
  run: Run | null;
  lastError: string | null;
}

/** Things on one machine, those that are gone included. */
const MOST_LANES = 10_000;

const decodeWant = received(
  'want',
  closed({
    kind: Type.Literal('want'),
    owner: Type.String(),
    epoch: Type.Integer(),
    generation: Type.Integer(),
    spec: Type.Unknown(),
  }),
);

export class Executors {
  readonly #options: ExecutorsOptions;
  readonly #lanes = new Map<string, Lane>();
  #isStopping = false;

  constructor(options: ExecutorsOptions) {
    this.#options = options;
  }

  /** Takes a want for `executor/<node>/<resource>/<id>`; resolves once converged. Rejects with the driver's TroupeError. */
  async handle(address: Address, message: unknown, trace: string): Promise<Json> {
    const { resource, id } = this.#target(address);
    const { owner, epoch, generation, spec } = decodeWant(message);
    const ownerAddress = this.#owner(resource, id, owner);
    if (this.#isStopping) throw new TroupeError('actor/stopped', 'this node is shutting down');
    // Here on arrival; the driver asks again when its turn to act comes, since a newer one may have come meanwhile.
    this.#options.fencing.fence(owner, { epoch, generation });
    const lane = this.#lane(`${resource}/${id}`, ownerAddress);
    Object.assign(lane, { epoch, generation, isWanted: spec !== null });
    const wanted = { epoch, generation, spec };
    const before = lane.run;
    if (before !== null && isSame(before, wanted)) return before.done;
    before?.abort.abort();
    const abort = new AbortController();
    const by = { owner: ownerAddress, epoch, generation, trace, signal: abort.signal };
    const { [resource]: converger } = this.#options.convergers;
    const act = () =>
      spec === null ? converger.remove(id, by).then(() => null) : converger.ensure(id, spec, by);
    const done = this.#converge(lane, { before: before?.done, signal: abort.signal, act });
    const run = { ...wanted, abort, done };
    lane.run = run;
    try {
      return await done;
    } finally {
      if (lane.run === run) lane.run = null;
    }
  }

  async #converge(
    lane: Lane,
    {
      before,
      signal,
      act,
    }: { before?: Promise<Json> | undefined; signal: AbortSignal; act: () => Promise<Json> },
  ): Promise<Json> {
    // How the older one ended is its own asker's business.
    await before?.catch(() => undefined);
    if (signal.aborted) {
      const reason = this.#isStopping
        ? 'this node is shutting down'
        : `superseded by generation ${lane.generation}`;
      throw new TroupeError(this.#isStopping ? 'actor/stopped' : 'executor/stale-epoch', reason);
    }
    try {
      const report = await act();
      if (!signal.aborted) lane.lastError = null;
      return report;
    } catch (error) {
      if (!signal.aborted) lane.lastError = reasonOf(error);
      throw error;
    }
  }

  /**
   * Generation last wanted of a thing here, also of an earlier daemon, for reports about changes nobody asked for: the
   * owner may be on a daemon that lives on, and has no reason to say it again.
   */
  generationOf(resource: Resource, id: string): number | undefined {
    const known = this.#lanes.get(`${resource}/${id}`);
    if (known !== undefined) return known.generation;
    const { convergers, fencing } = this.#options;
    return fencing.lastFence(`${convergers[resource].ownerKind}/${id}`)?.generation;
  }

  /** Undefined: its actor has not spoken since this daemon started. */
  isWanted(owner: string): boolean | undefined {
    for (const lane of this.#lanes.values()) {
      if (formatAddress(lane.owner) === owner) return lane.isWanted;
    }
    return undefined;
  }

  inspect(): ExecutorInspection[] {
    return [...this.#lanes].map(([name, lane]) => ({
      address: `executor/${this.#options.node}/${name}`,
      owner: formatAddress(lane.owner),
      epoch: lane.epoch,
      generation: lane.generation,
      isWanted: lane.isWanted,
      isConverging: lane.run !== null,
      lastError: lane.lastError,
    }));
  }

  /** Refuses what comes, calls off what runs and waits for it. What exists stays as it is. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    const running = [...this.#lanes.values()].flatMap((lane) => lane.run ?? []);
    for (const run of running) run.abort.abort();
    await Promise.allSettled(running.map((run) => run.done));
  }

  #lane(name: string, owner: Address): Lane {
    const known = this.#lanes.get(name);
    if (known !== undefined) return known;
    this.#dropOldest();
    const lane = { owner, epoch: 0, generation: 0, isWanted: false, run: null, lastError: null };
    this.#lanes.set(name, lane);
    return lane;
  }

  /** What was removed long ago is in no ledger any more; nobody asks about it. */
  #dropOldest(): void {
    if (this.#lanes.size < MOST_LANES) return;
    for (const [name, { isWanted, run }] of this.#lanes) {
      if (!isWanted && run === null) return void this.#lanes.delete(name);
    }
  }

  #target(address: Address): { resource: Resource; id: string } {
    const [node, resource, id] = address.id.split('/');
    const isKnown = resource === 'domain' || resource === 'segment' || resource === 'replica';
    if (node !== this.#options.node || !isKnown || id === undefined || id === '') {
      throw new TroupeError(
        'executor/unknown-resource',
        `${formatAddress(address)} is not on node ${this.#options.node}`,
      );
    }
    return { resource, id };
  }

  #owner(resource: Resource, id: string, owner: string): Address {
    const address = parseAddress(owner);
    const { ownerKind } = this.#options.convergers[resource];
    if (address?.kind === ownerKind && address.id === id) return address;
    throw new TroupeError('actor/bad-message', `${owner} cannot want ${resource} ${id}`);
  }
}

function isSame(run: Run, wanted: Pick<Run, 'epoch' | 'generation' | 'spec'>): boolean {
  if (run.abort.signal.aborted) return false;
  if (run.epoch !== wanted.epoch || run.generation !== wanted.generation) return false;
  return plainEqual(run.spec, wanted.spec);
}
