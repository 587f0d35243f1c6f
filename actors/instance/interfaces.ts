// An instance's interfaces: made before it is placed, sent to its node, deleted with it.
import { TroupeError, unlessGone } from '../kernel/errors.ts';
import type { EffectContext } from '../kernel/ports.ts';
import { interfaceRef } from '../interface/state.ts';
import type { InstanceMessage, InstanceState } from './state.ts';

type Context = EffectContext<InstanceMessage>;

/** Between looks at interfaces that are leaving; they tell by themselves, unless the telling was lost. */
const LOOK_AGAIN_MS = 2_000;
const LOOKS = 15;

/** Asks for those that are not there yet; they tell when they have their addresses. */
export async function createInterfaces(state: InstanceState, context: Context): Promise<undefined> {
  const { namespace, name: hostname } = state;
  const instanceId = context.self.id;
  for (const nic of state.nics.filter(({ phase }) => phase === 'none')) {
    const { interfaceId, networkId, order, model, requested, requestedMac } = nic;
    const where = { networkId, instanceId, namespace, hostname, order };
    const wish = { model, requested, requestedMac, float: nic.float === true };
    await context.ask(interfaceRef(interfaceId), { kind: 'create', ...where, ...wish });
  }
}

/** Tells them the instance's node; they tell when they have joined their networks there. */
export async function placeInterfaces(state: InstanceState, context: Context): Promise<undefined> {
  const node = state.node ?? '';
  for (const nic of state.nics.filter(({ phase }) => phase === 'initial')) {
    await context.ask(interfaceRef(nic.interfaceId), { kind: 'place', node });
  }
}

/** Resolves once none of them holds anything any more. Throws `actor/timeout` when that takes too long. */
export async function deleteInterfaces(
  state: InstanceState,
  context: Context,
): Promise<InstanceMessage> {
  let left = state.nics.filter((nic) => nic.phase !== 'deleted').map((nic) => nic.interfaceId);
  for (let looks = 0; looks < LOOKS; looks++) {
    if (looks > 0) await pause(context, LOOK_AGAIN_MS);
    const isGone = await Promise.all(left.map((id) => deleteInterface(id, context)));
    left = left.filter((_, index) => isGone[index] === false);
    if (left.length === 0) return { kind: 'interfaces-gone' };
  }
  throw new TroupeError(
    'actor/timeout',
    `interface ${left.join(', ')} is still leaving its network`,
  );
}

/** True when it holds nothing (any more). */
async function deleteInterface(interfaceId: string, context: Context): Promise<boolean> {
  const phase = await unlessGone(context.ask(interfaceRef(interfaceId), { kind: 'delete' }));
  return phase === undefined || phase === 'deleted';
}

/** Ends early, by rejecting, when the effect is called off. */
function pause({ clock, signal }: Context, delayMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(delayMs, resolve);
    const onAbort = () => {
      timer.cancel();
      reject(new TroupeError('actor/stopped', 'called off'));
    };
    if (signal.aborted) return onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
  });
}
