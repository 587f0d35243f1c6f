// What a domain does by itself (a guest's shutdown, a lost QEMU) is told to its instance.
import type { Hypervisor } from '../../actors/instance/ports.ts';
import { instanceRef } from '../../actors/instance/state.ts';
import type { Random, Router } from '../../actors/kernel/ports.ts';
import type { Executors } from '../../actors/node/executors.ts';

/** Tells until the returned function is called. A domain that no actor has spoken of yet is not news to anybody. */
export function tellDomainChanges(
  hypervisor: Hypervisor,
  { executors, router, random }: { executors: Executors; router: Router; random: Random },
): () => void {
  return hypervisor.onChange((instanceId, observed) => {
    const generation = executors.generationOf('domain', instanceId);
    if (generation === undefined) return;
    const message = { kind: 'domain-observed', generation, observed, builtDisks: null } as const;
    router.tell(instanceRef(instanceId), message, { trace: random.uuid() });
  });
}
