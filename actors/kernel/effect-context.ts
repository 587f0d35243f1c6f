// What a performer may do besides its own work: ask and tell others, report to its own actor.
import type { EffectHost, EffectSpec } from './effect-run.ts';
import type { Environment } from './environment.ts';
import { TroupeError } from './errors.ts';
import type { Json } from './json.ts';
import type { Message } from './kind.ts';
import { withFields } from './log.ts';
import type { EffectContext } from './ports.ts';

/** A called-off effect reaches nobody any more: its asks reject, its tells and reports are dropped. */
export function effectContext<S, M extends Message>(
  spec: EffectSpec<S, M>,
  host: EffectHost<S, M>,
  env: Environment,
  run: { readonly attempt: number; readonly signal: AbortSignal },
): EffectContext<M> {
  const { trace, key } = spec;
  const { address, epoch } = host;
  const { signal, attempt } = run;
  const { kind, id } = address;
  return {
    self: address,
    trace,
    epoch,
    key,
    attempt,
    signal,
    clock: env.clock,
    random: env.random,
    log: withFields(env.log, { kind, id, trace, effect: spec.name, attempt }),
    ask: (to, message, timeoutMs = env.limits.askTimeoutMs) => {
      const reply = () => env.router().ask(to, message, { trace, timeoutMs });
      return unlessAborted(signal, () => reply().then(({ value }) => value));
    },
    tell: (to, message) => {
      if (!signal.aborted) env.router().tell(to, message, { trace });
    },
    report: (message) => {
      if (!signal.aborted) host.post(message, trace, null);
    },
  };
}

/** Ends the wait when the effect is called off: a stop must not hang on somebody else's answer. */
function unlessAborted(signal: AbortSignal, ask: () => Promise<Json>): Promise<Json> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(calledOff());
    if (signal.aborted) return onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    ask()
      .then(resolve, reject)
      .finally(() => signal.removeEventListener('abort', onAbort));
  });
}

function calledOff(): TroupeError {
  return new TroupeError('actor/stopped', 'the effect that asked was called off');
}
