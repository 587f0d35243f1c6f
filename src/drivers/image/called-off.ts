import { TroupeError } from '../../../actors/kernel/errors.ts';

/** What work rejects with when its signal aborted. */
export function calledOff(cause?: unknown): TroupeError {
  return new TroupeError('actor/stopped', 'the work was called off', {}, cause);
}
