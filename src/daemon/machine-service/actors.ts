// What the actors of this machine's daemon are doing, and what the machine has.
import type { Clock } from '../../../actors/kernel/clock.ts';
import { parseAddress } from '../../../actors/kernel/kind.ts';
import type { Runtime } from '../../../actors/kernel/runtime.ts';
import type { Resources } from '../resources.ts';
import type { Handlers } from './handlers.ts';

/** Of those at work; a list for people. */
const MOST_BUSY = 1_000;

export interface MachineActors {
  readonly runtime: Pick<Runtime, 'inspect' | 'stuck' | 'busy'>;
  readonly pid: number;
  readonly clock: Clock;
  readonly resources: () => Resources;
  readonly processes: () => Record<string, number>;
}

export function actorHandlers({
  runtime,
  pid,
  clock,
  resources,
  processes,
}: MachineActors): Handlers<'inspect' | 'stuck' | 'busy' | 'resources' | 'processes'> {
  return {
    inspect: ({ address: text }) => {
      const address = parseAddress(text);
      return address === undefined ? null : runtime.inspect(address);
    },
    stuck: () => runtime.stuck(clock.nowMs()),
    busy: () => ({ pid, busy: runtime.busy(MOST_BUSY) }),
    resources,
    processes,
  };
}
