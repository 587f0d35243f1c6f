// What commands that work inside a guest share: asking for an operation of its agent, and waiting for what comes of it.
import { setTimeout as delay } from 'node:timers/promises';
import { ApiError } from '../client/api-error.ts';
import type { View } from '../client/client.ts';
import type { Call } from './command.ts';
import { CliError, INTERRUPTED } from './failure.ts';
import { duration } from './format.ts';
import { objectPath, segment } from './object-path.ts';
import { Progress } from './progress.ts';
import { isOutage } from './repeat.ts';
import { isView, text } from './table.ts';
import { patienceMs } from './wait.ts';

export type AgentVerb = 'execute' | 'get' | 'put';

/** The operation once it is complete. Throws CliError with the guest's own reason when it failed. */
export async function operate(call: Call, verb: AgentVerb, body: object): Promise<View> {
  const path = `${objectPath('instance', call.args[0] ?? '')}/agent/${verb}`;
  const operation = await call.client().view('POST', path, body);
  if (!call.flags.is('wait', true)) return operation;
  const progress = new Progress(call.world.stderr);
  try {
    return await completed(call, operation, progress);
  } catch (error) {
    const isLeft = call.world.signal.aborted && !(error instanceof CliError);
    throw isLeft ? left(text(operation, 'uuid'), 'no longer waiting', INTERRUPTED) : error;
  } finally {
    progress.end();
  }
}

export function operationPath(id: string): string {
  return `/agentoperations/${segment(id)}`;
}

/** Of the first command; empty before there is one. */
export function firstResult(operation: View): View {
  const { results } = operation;
  const first = isView(results) ? results['0'] : undefined;
  return isView(first) ? first : {};
}

async function completed(call: Call, asked: View, progress: Progress): Promise<View> {
  const { signal, pollMs } = call.world;
  const startedAtMono = performance.now();
  const id = text(asked, 'uuid');
  for (let operation = asked; ; operation = await again(call, operation)) {
    const state = text(operation, 'state');
    if (state === 'complete') return operation;
    if (state === 'error') throw new CliError(`the guest did not do it: ${reasonOf(operation)}`);
    if (state === 'deleted') throw new CliError('somebody has called it off');
    const waitedMs = performance.now() - startedAtMono;
    if (waitedMs >= patienceMs(call)) throw left(id, `still ${state} after ${duration(waitedMs)}`);
    progress.note(`operation ${id}: ${state}`, duration(waitedMs));
    await delay(pollMs, undefined, { signal });
  }
}

/** As it is now; as it was when nobody answers. */
async function again(call: Call, operation: View): Promise<View> {
  try {
    return await call.client().view('GET', operationPath(text(operation, 'uuid')));
  } catch (error) {
    if (isOutage(error) && !call.world.signal.aborted) return operation;
    const isGone = error instanceof ApiError && error.status === 404;
    throw isGone ? new CliError('the operation is gone: its instance was deleted') : error;
  }
}

function reasonOf(operation: View): string {
  const results = isView(operation['results']) ? Object.values(operation['results']) : [];
  const reasons = results.filter(isView).map((result) => text(result, 'message'));
  return reasons.findLast((reason) => reason !== '') ?? 'it gave no reason';
}

function left(id: string, what: string, exitCode?: number): CliError {
  const wayOut = `\`troupe agentoperation show ${id}\` says how far it is, \`delete\` calls it off`;
  const code = exitCode === undefined ? {} : { exitCode };
  return new CliError(`${what}: the operation goes on`, { wayOut, ...code });
}
