// A kind as the runtime keeps it: its types are known inside only, so that kinds of all sorts share a map.
import type { Environment } from './environment.ts';
import type { Address, Kind, Message } from './kind.ts';
import type { Loaded, Performers } from './ports.ts';
import { readSnapshot } from './snapshot.ts';
import { Supervisor, type SupervisedActor, type SupervisorOptions } from './supervisor.ts';

export interface Registration {
  activate(address: Address, options: SupervisorOptions): SupervisedActor;
  /** Whether an object in this state needs an actor before anybody sends it a message. */
  hasWork(loaded: Loaded): boolean;
}

export function registration<S, M extends Message, E extends string>(
  kind: Kind<S, M, E>,
  performers: Performers<S, M, E>,
  env: Environment,
): Registration {
  return {
    activate: (address, options) => new Supervisor(address, kind, performers, options, env),
    hasWork: (loaded) => hasWork(kind, loaded),
  };
}

function hasWork<S, M extends Message, E extends string>(
  kind: Kind<S, M, E>,
  loaded: Loaded,
): boolean {
  try {
    const state = readSnapshot(kind.snapshot, loaded.snapshot);
    if (kind.passing(state) !== null || kind.timer(state) !== null) return true;
    return kind.effects(state).length > 0;
  } catch {
    // Its actor has to say what is wrong with it.
    return true;
  }
}
