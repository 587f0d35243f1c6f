// The way to a guest's QEMU agent through libvirt, which owns its channel.
import { TroupeError } from '../../../actors/kernel/errors.ts';
import type { AgentCall } from '../guest/qemu-agent.ts';
import type { Libvirt } from '../libvirt/client.ts';
import { isLibvirtError } from '../libvirt/errors.ts';
import { domainRef } from '../libvirt/wire.ts';
import { domainName } from './domain-record.ts';

/** Every command is answered at once (what takes long is asked for again and again), by a guest that is not too busy. */
const ANSWER_S = 30;
/** Whether it is there has to be known sooner. */
const PING_S = 5;
/** libvirt passes an agent's refusal on so. */
const REFUSAL = /unable to execute QEMU agent command '[^']*':\s*(.*)$/s;

/** `libvirt` throws while there is none. */
export function qemuAgentCall(libvirt: () => Libvirt, instanceId: string): AgentCall {
  const domain = domainRef(instanceId, domainName(instanceId));
  return async (execute, args, signal) => {
    const command = Object.keys(args).length > 0 ? { execute, arguments: args } : { execute };
    const options = {
      agentTimeoutS: execute === 'guest-ping' ? PING_S : ANSWER_S,
      ...(signal === undefined ? {} : { signal }),
    };
    try {
      return await libvirt().guest.agent(domain, command, options);
    } catch (error) {
      throw translated(error, execute);
    }
  };
}

function translated(error: unknown, execute: string): TroupeError {
  if (isLibvirtError(error, 'aborted')) {
    return new TroupeError('actor/stopped', `${execute}: called off`, {}, error);
  }
  const words = error instanceof Error ? error.message : String(error);
  const refusal = REFUSAL.exec(words)?.[1];
  if (refusal !== undefined) return new TroupeError('guest/refused', refusal, {}, error);
  return new TroupeError(
    'guest/lost',
    `the agent in the guest does not answer: ${words}`,
    {},
    error,
  );
}
