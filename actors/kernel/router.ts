// The router of a daemon that is alone: actors of its own runtime, and local services under addresses of
// their own (a node's executors).
import { PendingAsk } from './ask.ts';
import { reasonOf, TroupeError } from './errors.ts';
import type { Json } from './json.ts';
import { formatAddress, type Address, type Message } from './kind.ts';
import type { Router } from './ports.ts';
import type { Runtime } from './runtime.ts';

/** Answers messages to addresses of one kind that are not actors. */
export type Service = (to: Address, message: Message, trace: string) => Promise<Json>;

/** `services` are found by the address's kind. A service that fails in a tell is logged by itself. */
export function localRouter(
  runtime: Runtime,
  services: Readonly<Record<string, Service>>,
  onLostTell: (to: Address, message: Message, error: unknown) => void = () => {},
): Router {
  const serviceOf = (to: Address) =>
    Object.hasOwn(services, to.kind) ? services[to.kind] : undefined;
  return {
    ask(to, message, options) {
      const service = serviceOf(to);
      if (service === undefined) return runtime.ask(to, message, options);
      const ask = new PendingAsk(runtime.timers, options.timeoutMs ?? 10_000, to);
      call(service, to, message, options.trace).then(
        (value) => ask.resolve({ value, revision: 0 }),
        (error: unknown) => ask.reject(asTroupeError(to, error)),
      );
      return ask.promise;
    },
    tell(to, message, options) {
      const service = serviceOf(to);
      if (service === undefined) return runtime.tell(to, message, options);
      call(service, to, message, options.trace).catch((error: unknown) => {
        onLostTell(to, message, error);
      });
    },
  };
}

/** A service that throws instead of rejecting ends the same way. */
async function call(service: Service, to: Address, message: Message, trace: string): Promise<Json> {
  return await service(to, message, trace);
}

function asTroupeError(to: Address, error: unknown): TroupeError {
  if (error instanceof TroupeError) return error;
  const text = `${formatAddress(to)} failed: ${reasonOf(error)}`;
  return new TroupeError('actor/crashed', text, {}, error);
}
