// Known bugs of systems like this, put back one by one: the proof that the simulation can fail. None of them has a
// switch in the product; each stands in the place of a part of it, as whoever makes the mistake would have written it.
import type { Clock } from '../../../actors/kernel/clock.ts';
import type { Kind, Message, Turn } from '../../../actors/kernel/kind.ts';
import type { Journal } from '../../../actors/kernel/ports.ts';
import type { Service } from '../../../actors/kernel/router.ts';
import type { NetworkState } from '../../../actors/network/state.ts';
import type { Archive } from '../../../src/archive/archive.ts';
import type { ReadModel } from '../../../src/read/read-model.ts';
import { GroupCommit, type GroupCommitOptions } from '../../../transport/store/group-commit.ts';
import type { Write } from '../../../transport/store/write-group.ts';
import type { SimMachine } from '../../support/sim-machine.ts';

/** Where a daemon runs that has the bug. */
interface Where {
  readonly name: string;
  readonly machine: SimMachine;
}

export interface Bug {
  readonly name: string;
  readonly what: string;
  readonly commits?: (options: GroupCommitOptions) => GroupCommit;
  readonly journal?: (real: Journal) => Journal;
  readonly kind?: <S, M extends Message, E extends string>(real: Kind<S, M, E>) => Kind<S, M, E>;
  /** In place of the machine's executors. */
  readonly service?: (real: Service) => Service;
  /** In place of the machine's archive. */
  readonly archive?: (real: Archive, clock: Clock) => Archive;
  /** A daemon starts on the machine. */
  readonly booted?: (where: Where) => void;
  /** A daemon has joined: what it does now and then. */
  readonly patrol?: (where: Where & { readonly read: ReadModel; readonly clock: Clock }) => void;
}

/** Writes take effect whoever owns the shard by now. */
class UnguardedCommit extends GroupCommit {
  override commit({ ops }: Write): Promise<{ readonly revision: number }> {
    return super.commit({ guards: [], ops });
  }
}

const noFence: Bug = {
  name: 'no-fence',
  what: 'a write does not compare the epoch',
  commits: (options) => new UnguardedCommit(options),
};

const PRUNE_MS = 10_000;

const stalePruner: Bug = {
  name: 'stale-pruner',
  what: 'copies are pruned by a list that may be old, to the last one',
  patrol: ({ read, clock, machine }) => {
    const prune = () => {
      for (const blobId of machine.images.replicas.keys()) {
        const users = read.blobs.get(blobId)?.state.users ?? [];
        if (users.length > 0) continue;
        machine.images.replicas.delete(blobId);
        machine.ledger.forget('replica', blobId);
      }
      clock.after(PRUNE_MS, prune);
    };
    clock.after(PRUNE_MS, prune);
  },
};

interface Release {
  readonly kind: string;
  readonly owner: string;
}

/** What each owner held last, by network: how a release that names an address would know it. */
function freedTwice(): Bug {
  const held = new Map<string, string>();
  const forgetful = (state: NetworkState, message: Release, { id }: Turn): NetworkState => {
    for (const [address, { owner }] of Object.entries(state.reservations))
      if (owner !== null) held.set(`${id} ${owner}`, address);
    const address = held.get(`${id} ${message.owner}`);
    if (message.kind !== 'release' || address === undefined) return state;
    const { [address]: _, ...reservations } = state.reservations;
    return { ...state, reservations };
  };
  return {
    name: 'freed-twice',
    what: 'an address is given back by its name, whoever holds it by then',
    kind: (real) => {
      if (real.kind !== 'network') return real;
      return {
        ...real,
        transition: (state, message, turn) => {
          const step = real.transition(state, message, turn);
          if (step.state === null || step.refusal !== null) return step;
          const network = step.state as unknown as NetworkState;
          const freed = forgetful(network, message as unknown as Release, turn);
          return { ...step, state: freed as unknown as typeof step.state };
        },
      };
    },
  };
}

const destroyer: Bug = {
  name: 'destroyer',
  what: 'a daemon that starts destroys what it does not know yet',
  booted: ({ machine }) => {
    const { domains } = machine.hypervisor;
    for (const [id, domain] of domains) {
      domain.stop('destroyed');
      domains.delete(id);
      machine.ledger.forget('domain', id);
    }
  },
};

/** Larger than any generation that is given. */
const BEYOND = 1_000_000;

function ungenerated(): Bug {
  let serial = BEYOND;
  return {
    name: 'ungenerated',
    what: 'an executor takes every wish for the newest, whatever its epoch and generation',
    service: (real) => (to, message, trace) => {
      serial++;
      return real(to, { ...message, epoch: serial, generation: serial } as Message, trace);
    },
  };
}

const hastyAnswer: Bug = {
  name: 'hasty-answer',
  what: 'a change is acknowledged before it is stored',
  journal: (real) => ({
    load: (address) => real.load(address),
    commit: (write) => {
      real.commit(write).catch(() => {});
      return Promise.resolve(0);
    },
  }),
};

const hastyCursor: Bug = {
  name: 'hasty-cursor',
  what: 'an archive moves its cursor before what it passes over is in the file',
  archive: (real, clock) => ({
    ...real,
    record: async (batch) => {
      await real.advance(batch.revision);
      await new Promise<void>((resolve) => clock.after(100, resolve));
      await real.fill(batch.rows, batch.gaps);
      return [...batch.rows];
    },
  }),
};

/** Made afresh for each run: some of them remember. */
export const BUGS: readonly (() => Bug)[] = [
  () => noFence,
  () => stalePruner,
  freedTwice,
  () => destroyer,
  ungenerated,
  () => hastyAnswer,
  () => hastyCursor,
];
