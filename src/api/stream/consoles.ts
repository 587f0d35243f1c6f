// The consoles of instances over WebSocket: binary frames are the line's, or the screen's, own bytes.
import type { InstanceState } from '../../../actors/instance/state.ts';
import { reasonOf, TroupeError } from '../../../actors/kernel/errors.ts';
import type { ReadObject } from '../../read/collection.ts';
import { CLOSE, onlyUpgrades, socketRoute, type Opening, type Purpose } from '../http/channel.ts';
import { route, type Route } from '../http/route.ts';
import { finder } from '../objects/reference.ts';
import { instances } from '../objects/resources.ts';
import type { ApiServices, ConsoleKind } from '../services.ts';
import { joinBytes } from './bytes.ts';

/** A guest's end is known here a little after its console's. */
const NEWS_MS = 3_000;

export function consoleSocketRoutes(services: ApiServices): Route[] {
  const object = finder(instances(services.read), 'instance_ref');
  const opens = (plain: Route, purpose: Purpose, which: ConsoleKind) =>
    socketRoute(plain, purpose, (request) => open(services, object(request), which));
  const common = {
    answer: { upgrade: 'websocket' },
    object,
    errors: [409, 426],
    handle: onlyUpgrades,
  } as const;
  return [
    opens(
      route('GET /instances/:instance_ref/console', {
        summary: 'The serial console, both ways, over WebSocket; shared by all who have it open',
        ...common,
      }),
      'console',
      'serial',
    ),
    opens(
      route('GET /instances/:instance_ref/vdi', {
        summary: 'The graphic console (VNC or SPICE), both ways, over WebSocket',
        ...common,
      }),
      'vdi',
      'graphic',
    ),
  ];
}

/** Errors: 409 when the instance has no console now; those of the way to its machine. */
async function open(
  services: ApiServices,
  { id, state }: ReadObject<InstanceState>,
  which: ConsoleKind,
): Promise<Opening> {
  if (state.phase !== 'created') {
    throw new TroupeError(
      'object/wrong-phase',
      `the instance is ${state.phase}: it has no console`,
    );
  }
  const stream = await services.consoles.openConsole(id, which);
  const { clock } = services;
  return {
    objectId: id,
    speak: (channel) =>
      joinBytes(channel, { stream, clock, whyEnded: (error) => whyEnded(services, id, error) }),
    refusal: () => null,
    abandon: () => stream.destroy(),
  };
}

async function whyEnded(
  { read }: ApiServices,
  id: string,
  error: Error | null,
): Promise<{ code: number; reason: string }> {
  const overloaded = error instanceof TroupeError && error.code === 'actor/overloaded';
  if (overloaded) return { code: CLOSE.slow, reason: reasonOf(error) };
  if (error !== null) return { code: CLOSE.later, reason: reasonOf(error) };
  try {
    const isEnded = (state: InstanceState) => endOf(state) !== null;
    const { state } = await read.when(read.instances, id, isEnded, NEWS_MS);
    return { code: CLOSE.gone, reason: endOf(state) ?? '' };
  } catch {
    // It was started again at once, or its machine has lost touch.
    return { code: CLOSE.gone, reason: 'the guest has ended or was started again' };
  }
}

function endOf({ phase, observed }: InstanceState): string | null {
  if (phase !== 'created')
    return `the instance is ${phase === 'delete-wait' ? 'being deleted' : phase}`;
  return observed?.power === 'off' ? 'the instance is off' : null;
}
