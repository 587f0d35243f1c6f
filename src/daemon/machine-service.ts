// Answers what is asked of this machine's daemon itself (actors/node/machine-message.ts).
import type { Clock } from '../../actors/kernel/clock.ts';
import type { Json } from '../../actors/kernel/json.ts';
import { parseAddress } from '../../actors/kernel/kind.ts';
import type { Service } from '../../actors/kernel/router.ts';
import type { Runtime } from '../../actors/kernel/runtime.ts';
import { decodeMachineMessage } from '../../actors/node/machine-message.ts';
import type { ConsoleLogs } from '../api/services.ts';
import type { TicketBooth } from '../api/stream/tickets.ts';

export interface MachineServiceOptions {
  readonly runtime: Pick<Runtime, 'inspect' | 'stuck'>;
  readonly consoles: ConsoleLogs;
  readonly tickets: Pick<TicketBooth, 'redeem'>;
  readonly clock: Clock;
}

export function machineService({
  runtime,
  consoles,
  tickets,
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
      case 'redeem-ticket':
        return tickets.redeem(message.secret);
    }
  };
}

/** As it goes over the wire: what is undefined is left out. */
function plain(value: unknown): Json {
  return JSON.parse(JSON.stringify(value)) as Json;
}
