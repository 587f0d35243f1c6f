// A lab of some nodes, with a guest on each or without, for tests that make things go wrong in it.
//
// A1  The lab is attached: it ends with the test's process, however that ends. Directories of dead ones are swept.
// A2  etcd's whole history is followed from the first revision on, so that ownership can be judged afterwards.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../actors/kernel/clock.ts';
import type { EventRecord } from '../../actors/kernel/ports.ts';
import {
  addNode,
  makeLab,
  nodeOf,
  removeLab,
  type Lab,
  type LabNode,
} from '../../deploy/lab/lab.ts';
import { inside } from '../../deploy/lab/machine.ts';
import { apiUrlOf, enlist, loginOf, startDaemon } from '../../deploy/lab/node-daemon.ts';
import { takeLabTour, type LabGuest } from '../../deploy/lab/tour.ts';
import { Client } from '../../src/client/client.ts';
import { clusterFiles } from '../../src/cluster/files.ts';
import { addSettings, type Settings } from '../../src/cluster/settings-file.ts';
import { Progress } from '../../src/tour/progress.ts';
import { shardOf } from '../../transport/sharding/shard.ts';
import { decodeEnvelope } from '../../transport/store/codec.ts';
import { EtcdStore } from '../../transport/store/etcd-store.ts';
import { clusterKeys } from '../../transport/store/keys.ts';
import type { Change, Store } from '../../transport/store/store.ts';
import { CACHE } from './daemon.ts';

const PREFIX = 'troupe-cluster-lab-';
export const LEASE_MS = 5_000;
const keys = clusterKeys('troupe');

export interface LabWithoutGuests {
  readonly lab: Lab;
  readonly store: Store;
  readonly history: History;
  node(name: string): LabNode;
  client(name: string): Client;
  close(): Promise<void>;
}

export interface ClusterLab extends LabWithoutGuests {
  readonly guests: readonly LabGuest[];
  guest(name: string): LabGuest;
}

/** A lab whose daemons take each other for lost soon; `names` are its nodes, `more` settings of all. */
export async function clusterLab(
  names: readonly string[],
  more: Settings = {},
): Promise<ClusterLab> {
  const bare = await labWithoutGuests(names, more);
  const { lab } = bare;
  const guests = await takeLabTour({ lab, progress: new Progress({ write: () => undefined }) });
  return {
    ...bare,
    guests,
    guest: (name) => {
      const found = guests.find(({ node }) => node.name === name);
      if (found === undefined) throw new Error(`no guest on ${name}`);
      return found;
    },
  };
}

/** The same with daemons only; `of`: settings of single nodes. */
export async function labWithoutGuests(
  names: readonly string[],
  more: Settings = {},
  of: Readonly<Record<string, Settings>> = {},
): Promise<LabWithoutGuests> {
  sweep();
  const directory = mkdtempSync(join(tmpdir(), `${PREFIX}${process.pid}-`));
  const subnet = `10.214.${process.pid % 250}`;
  const settings = {
    'lease-ttl': LEASE_MS / 1000,
    'missing-after': 8,
    'image-copy-after': 3,
    ...more,
  };
  const lab = await makeLab({ directory, subnet, isAttached: true, settings, cacheDir: CACHE });
  const [first = ''] = names;
  let store: Store | undefined;
  let history: History | undefined;
  for (const name of names) {
    const node = await addNode(lab, name);
    addSettings(node.directory, of[name] ?? {});
    await enlist(lab, node);
    await startDaemon(node);
    store ??= storeOf(nodeOf(lab, first));
    history ??= new History(store);
  }
  if (store === undefined || history === undefined) throw new Error('a lab without nodes');
  const [aStore, aHistory] = [store, history];
  return {
    lab,
    store,
    history,
    node: (name) => nodeOf(lab, name),
    client: (name) => {
      const node = nodeOf(lab, name);
      return new Client({ apiUrl: apiUrlOf(node), ...loginOf(node) });
    },
    close: async () => {
      await aHistory.close();
      await aStore.close();
      await removeLab(lab, 'remove');
    },
  };
}

/** The cluster's etcd, as its first node would reach it. */
function storeOf({ address, directory }: LabNode): Store {
  const { authority, certificate, key } = clusterFiles(directory);
  const credentials = {
    rootCertificate: readFileSync(authority),
    certChain: readFileSync(certificate),
    privateKey: readFileSync(key),
  };
  const hosts = [`https://${address}:2379`];
  return new EtcdStore({ hosts, credentials, serverName: 'localhost', clock: systemClock });
}

function sweep(): void {
  for (const name of readdirSync(tmpdir()).filter((entry) => entry.startsWith(PREFIX))) {
    const pid = name.slice(PREFIX.length).split('-')[0] ?? '';
    if (!existsSync(`/proc/${pid}`)) rmSync(join(tmpdir(), name), { recursive: true, force: true });
  }
}

/** Everything that was ever written, in order. */
export class History {
  readonly #changes: Change[] = [];
  readonly #watch: ReturnType<Store['watch']>;

  constructor(store: Store) {
    const observer = {
      changes: (changes: readonly Change[]) => void this.#changes.push(...changes),
      ended: (error: Error) => {
        throw error;
      },
    };
    this.#watch = store.watch({ prefix: '/troupe/', fromRevision: 1 }, observer);
  }

  get revision(): number {
    return this.#watch.revision;
  }

  close(): Promise<void> {
    return this.#watch.close();
  }

  /** Events by whose writer did not own the object as they were written; each is one that must not be. */
  foreignWrites(): string[] {
    const owners = new Map<number, string>();
    const members = new Set<string>();
    const wrong: string[] = [];
    for (const change of this.#changes) {
      const parsed = keys.parse(change.key);
      if (parsed?.area === 'owners') {
        if (change.kind === 'delete') owners.delete(parsed.shard);
        else owners.set(parsed.shard, nodeIn(change));
      }
      if (parsed?.area === 'members') {
        if (change.kind === 'delete') members.delete(parsed.node);
        else members.add(parsed.node);
      }
      if (parsed?.area !== 'events' || change.kind !== 'put') continue;
      const { kind, id } = parsed;
      const owner = kind === 'node' ? id : owners.get(shardOf({ kind, id }));
      const writer = nodeIn(change);
      // Who removes a node tells it of that, while nobody is a member under its name.
      if (kind === 'node' && !members.has(id)) continue;
      if (owner !== writer)
        wrong.push(`${change.revision}: ${kind}/${id} is ${owner}'s, ${writer} wrote`);
    }
    return wrong;
  }

  /** Nodes that own shards now. */
  owners(): string[] {
    const owners = new Map<number, string>();
    for (const change of this.#changes) {
      const parsed = keys.parse(change.key);
      if (parsed?.area !== 'owners') continue;
      if (change.kind === 'delete') owners.delete(parsed.shard);
      else owners.set(parsed.shard, nodeIn(change));
    }
    return [...owners.values()];
  }
}

function nodeIn(change: Change & { readonly kind: 'put' }): string {
  const decoded = decodeEnvelope(change.entry.value);
  return decoded.ok ? (decoded.envelope.state as Pick<EventRecord, 'node'>).node : '';
}

/** The state of an object as it is stored. */
export async function stored<S>(store: Store, kind: string, id: string): Promise<S> {
  const entry = await store.get(keys.object(kind, id));
  const decoded = entry === null ? null : decodeEnvelope(entry.value);
  if (decoded?.ok !== true) throw new Error(`${kind}/${id} is not stored`);
  return decoded.envelope.state as S;
}

/** One guest pings another without a pause; what was answered is counted by sequence number. */
export function steadyPing(from: LabGuest, to: LabGuest) {
  const options = ['BatchMode=yes', 'StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null'];
  const ssh = [
    'ssh',
    '-i',
    from.keyFile,
    ...options.flatMap((option) => ['-o', option]),
    `root@${from.address}`,
    `ping -i 0.5 ${to.address}`,
  ];
  const command = inside(from.node.machine, ['ip', 'netns', 'exec', from.netns, ...ssh]);
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', ...command]);
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const answered = () => [...output.matchAll(/seq=(\d+) ttl/g)].map(([, seq]) => Number(seq));
  return {
    answered,
    output: () => output,
    /** Sequence numbers between the first and the last answer that have none. */
    lost: () => {
      const seen = new Set(answered());
      const [first, last] = [Math.min(...seen), Math.max(...seen)];
      const all = Array.from({ length: Math.max(0, last - first) }, (_, at) => first + at);
      return all.filter((seq) => !seen.has(seq));
    },
    stop: () => child.kill('SIGKILL'),
  };
}
