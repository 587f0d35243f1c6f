// Consoles of this machine's instances, the tickets that were made here, and what the instances have used.
import type { EventRecord } from '../../../actors/kernel/ports.ts';
import type { Spool } from '../../drivers/image/spool.ts';
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
  readonly files: { readonly spool: Pick<Spool, 'write' | 'remove'> };
}

const ALL = -1;

export function consoleHandlers({
  consoles,
  tickets,
  usageOf,
  files: { spool },
}: ConsoleParts): Handlers<
  'read-console' | 'keep-console' | 'clear-console' | 'redeem-ticket' | 'screen-kind' | 'usage'
> {
  return {
    'read-console': async ({ instanceId, lengthBytes }) => {
      const bytes = await consoles.readConsole(instanceId, lengthBytes);
      return Buffer.from(bytes).toString('base64');
    },
    'keep-console': async ({ instanceId, spoolId }) => {
      const bytes = await consoles.readConsole(instanceId, ALL);
      // Whatever an earlier attempt has left: the guest has gone on talking since.
      await spool.remove(spoolId);
      return bytes.length === 0 ? 0 : await spool.write(spoolId, 0, bytes);
    },
    'clear-console': ({ instanceId }) => consoles.clearConsole(instanceId),
    'redeem-ticket': ({ secret }) => tickets.redeem(secret),
    'screen-kind': ({ vdi }) => consoles.screenKind(vdi),
    usage: ({ instanceId }) => usageOf(instanceId),
  };
}
