// Answers what is asked of this machine's daemon itself (actors/node/machine-message.ts).
import { OUTCOME_WAIT_MS } from '../../actors/agent-operation/effects.ts';
import type { Clock } from '../../actors/kernel/clock.ts';
import type { Json } from '../../actors/kernel/json.ts';
import { parseAddress } from '../../actors/kernel/kind.ts';
import type { Service } from '../../actors/kernel/router.ts';
import type { Runtime } from '../../actors/kernel/runtime.ts';
import type { GuestOperations } from '../../actors/node/guest-operations.ts';
import { decodeMachineMessage } from '../../actors/node/machine-message.ts';
import type { Consoles } from '../api/services.ts';

/** What reaches into the guests of this machine. */
export interface Guests {
  readonly operations: Pick<GuestOperations, 'run' | 'end'>;
  /** Takes a picture of the screen into the spool; resolves to its id there. */
  takeScreenshot(instanceId: string): Promise<string>;
}

export interface MachineServiceOptions {
  readonly runtime: Pick<Runtime, 'inspect' | 'stuck'>;
  readonly consoles: Consoles;
  readonly guests: Guests;
  readonly clock: Clock;
}

export function machineService({
  runtime,
  consoles,
  guests,
  clock,
}: MachineServiceOptions): Service {
  return async (_to, body) => {
    const message = decodeMachineMessage(body);
    switch (message.kind) {
      case 'inspect': {
        const address = parseAddress(message.address);
        return address === undefined ? null : plain(runtime.inspect(address) ?? null);
      }
      case 'stuck':
        return plain(runtime.stuck(clock.nowMs()));
      case 'read-console': {
        const bytes = await consoles.readConsole(message.instanceId, message.lengthBytes);
        return Buffer.from(bytes).toString('base64');
      }
      case 'clear-console':
        await consoles.clearConsole(message.instanceId);
        return null;
      case 'run-agent-operation':
        return plain(await guests.operations.run(message, OUTCOME_WAIT_MS));
      case 'end-agent-operation':
        guests.operations.end(message.operationId);
        return null;
      case 'take-screenshot':
        return await guests.takeScreenshot(message.instanceId);
    }
  };
}

/** As it goes over the wire: what is undefined is left out. */
function plain(value: unknown): Json {
  return JSON.parse(JSON.stringify(value)) as Json;
}
