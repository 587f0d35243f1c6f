// Answers what is asked of this machine's daemon itself (actors/node/machine-message.ts), by topic.
import type { Json } from '../../../actors/kernel/json.ts';
import type { Service } from '../../../actors/kernel/router.ts';
import type { Dataplane } from '../../../actors/network/ports.ts';
import { decodeMachineMessage, type MachineMessage } from '../../../actors/node/machine-message.ts';
import { actorHandlers, type MachineActors } from './actors.ts';
import { consoleHandlers, type ConsoleParts } from './consoles.ts';
import { fileHandlers, type MachineFiles } from './files.ts';
import { guestHandlers, type Guests } from './guests.ts';
import type { Handlers } from './handlers.ts';
import { pingHandlers } from './ping.ts';

export interface MachineServiceOptions extends MachineActors, ConsoleParts {
  readonly guests: Guests;
  readonly dataplane: Pick<Dataplane, 'ping'>;
  readonly files: MachineFiles;
}

type Handler = (message: MachineMessage, trace: string) => unknown;

export function machineService(options: MachineServiceOptions): Service {
  const handlers: Handlers = {
    ...actorHandlers(options),
    ...consoleHandlers(options),
    ...guestHandlers(options.guests),
    ...fileHandlers(options.files),
    ...pingHandlers(options.dataplane),
  };
  return async (_to, body, trace) => {
    const message = decodeMachineMessage(body);
    // Each takes the messages of its own kind.
    const handle = handlers[message.kind] as Handler;
    return plain(await handle(message, trace));
  };
}

/** As it goes over the wire: what is undefined is left out. Bytes are plain data to the mesh, though not to JSON. */
function plain(value: unknown): Json {
  if (value instanceof Uint8Array) return value as unknown as Json;
  return JSON.parse(JSON.stringify(value ?? null)) as Json;
}
