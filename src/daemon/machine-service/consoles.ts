// Consoles of this machine's instances, the tickets that were made here, and what the instances have used.
import type { EventRecord } from '../../../actors/kernel/ports.ts';
import type { Consoles } from '../../api/services.ts';
import type { TicketBooth } from '../../api/stream/tickets.ts';
import type { Handlers } from './handlers.ts';

/** Of the machine's own instances. */
export interface MachineConsoles extends Pick<Consoles, 'readConsole' | 'clearConsole'> {
  screenKind(vdi: string): 'vnc' | 'spice';
}

export interface ConsoleParts {
  readonly consoles: MachineConsoles;
  readonly tickets: Pick<TicketBooth, 'redeem'>;
  readonly usageOf: (instanceId: string) => readonly EventRecord[];
}

export function consoleHandlers({
  consoles,
  tickets,
  usageOf,
}: ConsoleParts): Handlers<
  'read-console' | 'clear-console' | 'redeem-ticket' | 'screen-kind' | 'usage'
> {
  return {
    'read-console': async ({ instanceId, lengthBytes }) => {
      const bytes = await consoles.readConsole(instanceId, lengthBytes);
      return Buffer.from(bytes).toString('base64');
    },
    'clear-console': ({ instanceId }) => consoles.clearConsole(instanceId),
    'redeem-ticket': ({ secret }) => tickets.redeem(secret),
    'screen-kind': ({ vdi }) => consoles.screenKind(vdi),
    usage: ({ instanceId }) => usageOf(instanceId),
  };
}
