// What the API asks of all machines, or of the one that has it.
import { randomUUID } from 'node:crypto';
import { reasonOf } from '../../actors/kernel/errors.ts';
import type { Json } from '../../actors/kernel/json.ts';
import { formatAddress, type Address } from '../../actors/kernel/kind.ts';
import type { EventRecord, Log, Router } from '../../actors/kernel/ports.ts';
import { machineRef } from '../../actors/node/machine-message.ts';
import type { ApiServices, Consoles, Operations } from '../api/services.ts';
import type { ReadModel } from '../read/read-model.ts';

/** For what can be left out of an answer: a machine that is away holds it up no longer. */
const ASIDE_MS = 3_000;

export interface ClusterWideOptions {
  readonly node: string;
  readonly read: ReadModel;
  readonly router: Router;
  readonly log: Log;
  /** The node that decides for the address; null: nobody now. */
  readonly nodeOf: (address: Address) => string | null;
  readonly members: () => readonly { readonly node: string }[];
}

export function operations(options: ClusterWideOptions): Pick<Operations, 'inspect' | 'stuck'> {
  const { router, nodeOf, members, log, node: self } = options;
  return {
    inspect: async (address) => {
      const node = nodeOf(address);
      if (node === null) return null;
      const message = { kind: 'inspect', address: formatAddress(address) } as const;
      return (await router.ask(machineRef(node), message, { trace: randomUUID() })).value;
    },
    stuck: async () => {
      const nodes = members().map(({ node }) => node);
      const asked = (nodes.length === 0 ? [self] : nodes).map(async (node) => {
        try {
          const { value } = await router.ask(
            machineRef(node),
            { kind: 'stuck' },
            { trace: randomUUID() },
          );
          return value as Json[];
        } catch (error) {
          // What is missing is no reason to keep back what the others say.
          log('warn', 'a member was not asked for what is stuck', {
            member: node,
            reason: reasonOf(error),
          });
          return [];
        }
      });
      return (await Promise.all(asked)).flat();
    },
  };
}

/** What the instance has used lately on the machine that it is on; nothing when that one does not answer. */
export function usageOf(options: ClusterWideOptions): ApiServices['usageOf'] {
  const { read, router, log } = options;
  return async (instanceId) => {
    const node = read.instances.get(instanceId)?.state.node ?? null;
    if (node === null) return [];
    const trace = randomUUID();
    try {
      const { value } = await router.ask(
        machineRef(node),
        { kind: 'usage', instanceId },
        { trace, timeoutMs: ASIDE_MS },
      );
      return value as unknown as readonly EventRecord[];
    } catch (error) {
      // The other events are worth telling all the same.
      log('info', 'a machine was not asked for usage', { node, trace, reason: reasonOf(error) });
      return [];
    }
  };
}

/** Of the machine that the instance is on; one that has no machine yet has no console. */
export function consoles({ read, router, log, node: self }: ClusterWideOptions): Consoles {
  const at = (instanceId: string) => machineRef(read.instances.get(instanceId)?.state.node ?? self);
  return {
    readConsole: async (instanceId, lengthBytes) => {
      const message = { kind: 'read-console', instanceId, lengthBytes } as const;
      const { value } = await router.ask(at(instanceId), message, { trace: randomUUID() });
      return Buffer.from(value as string, 'base64');
    },
    clearConsole: async (instanceId) => {
      const message = { kind: 'clear-console', instanceId } as const;
      await router.ask(at(instanceId), message, { trace: randomUUID() });
    },
    screenKind: async (instanceId) => {
      const vdi = read.instances.get(instanceId)?.state.video.vdi ?? 'vnc';
      const trace = randomUUID();
      try {
        const message = { kind: 'screen-kind', vdi } as const;
        const { value } = await router.ask(at(instanceId), message, { trace, timeoutMs: ASIDE_MS });
        return value === 'spice' ? 'spice' : 'vnc';
      } catch (error) {
        log('info', 'a machine was not asked how it shows screens', { trace, error });
        return vdi === 'vnc' ? 'vnc' : 'spice';
      }
    },
  };
}
