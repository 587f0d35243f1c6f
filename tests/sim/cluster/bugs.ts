// Known bugs of systems like this, put back one by one: the proof that the simulation can fail. None of them has a
// switch in the product; each stands in the place of a part of it.
import type { Journal } from '../../../actors/kernel/ports.ts';
import type { Clock } from '../../../actors/kernel/clock.ts';
import type { Kind, Message } from '../../../actors/kernel/kind.ts';
import type { Service } from '../../../actors/kernel/router.ts';
import type { ReadModel } from '../../../src/read/read-model.ts';
import { GroupCommit, type GroupCommitOptions } from '../../../transport/store/group-commit.ts';
import type { SimMachine } from '../../support/sim-machine.ts';

export interface Bug {
  readonly name: string;
  readonly what: string;
  readonly commits?: (options: GroupCommitOptions) => GroupCommit;
  readonly journal?: (real: Journal) => Journal;
  readonly kind?: <S, M extends Message, E extends string>(real: Kind<S, M, E>) => Kind<S, M, E>;
  /** In place of the machine's executors. */
  readonly service?: (real: Service) => Service;
  /** A daemon starts on the machine. */
  readonly booted?: (host: { readonly machine: SimMachine }) => void;
  /** A daemon has joined: what it does now and then. */
  readonly patrol?: (daemon: {
    readonly read: ReadModel;
    readonly clock: Clock;
    readonly machine: SimMachine;
  }) => void;
}
