// Floating addresses of interfaces (contract: networks 3.4 and 3.5).
import { interfaceRef, type InterfaceState } from '../../../actors/interface/state.ts';
import { isErrorCode, TroupeError } from '../../../actors/kernel/errors.ts';
import type { ReadObject } from '../../read/collection.ts';
import { json, NOTHING, route, type Finder, type Route } from '../http/route.ts';
import { checkNetworkReady } from '../networks/ready.ts';
import { badRequest, change, type ApiServices } from '../services.ts';

/** Longer than the pool takes on a bad day; the float goes on after that. */
const RESERVE_MS = 20_000;
/** How long a defloat waits, so that who floats again right after it may. */
const RELEASE_MS = 5_000;

export function floatRoutes(
  services: ApiServices,
  object: Finder<ReadObject<InterfaceState>>,
): Route[] {
  return [
    route('POST /interfaces/:interface_uuid/float', {
      summary: 'Give an interface a floating address, which it has when this is answered',
      answer: NOTHING,
      errors: [504, 507],
      object,
      handle: async ({ object: { id, state }, trace }) => {
        checkNetworkReady(services, state.networkId);
        if (state.requested === 'none') throw badRequest(`interface ${id} has no address to float`);
        const number = await change(services, interfaceRef(id), { kind: 'float' }, trace);
        await floated(services, id, Number(number));
        return json(null);
      },
    }),
    route('POST /interfaces/:interface_uuid/defloat', {
      summary: "Take an interface's floating address away; quiet when it has none",
      answer: NOTHING,
      object,
      handle: async ({ object: { id }, trace }) => {
        await change(services, interfaceRef(id), { kind: 'defloat' }, trace);
        const isDone = ({ float }: InterfaceState) => float?.phase !== 'leaving';
        // Accepted all the same: what takes longer is done when it is done.
        await services.read
          .when(services.read.interfaces, id, isDone, RELEASE_MS)
          .catch(() => undefined);
        return json(null);
      },
    }),
  ];
}

/** Resolves when the float has its address. Errors: why it has not. */
async function floated({ read }: ApiServices, id: string, number: number): Promise<void> {
  const isDecided = ({ float }: InterfaceState) =>
    float?.number !== number || float.phase !== 'reserving';
  const { state } = await read.when(read.interfaces, id, isDecided, RESERVE_MS);
  if (state.float?.number === number && state.float.phase === 'held') return;
  const { floatFailure: why } = state;
  if (why?.number !== number || !isErrorCode(why.code)) {
    throw new TroupeError('object/wrong-phase', `interface ${id} is not to float any more`);
  }
  throw new TroupeError(why.code, why.reason);
}
