// Turns what etcd3 and gRPC throw into our codes, once, at the edge.
import {
  ClientClosedError,
  EtcdAuthenticationFailedError,
  EtcdInvalidAuthTokenError,
  EtcdLeaseInvalidError,
  EtcdPermissionDeniedError,
  GRPCFailedPreconditionError,
  GRPCInvalidArgumentError,
  GRPCOutOfRangeError,
  GRPCUnauthenticatedError,
} from 'etcd3';
import { reasonOf, TroupeError } from '../../actors/kernel/errors.ts';

/**
 * gRPC's own words for "no request left this process". Taken literally: if a later version words it
 * otherwise, the outcome counts as unknown, which is the safe side.
 */
const UNSENT =
  /No connection established|No addresses resolved|Name resolution failed|Waiting for LB pick/;

/** True when the call that failed with `error` cannot have reached the server. */
export function isUnsent(error: unknown): boolean {
  return UNSENT.test(reasonOf(error));
}

/**
 * `changes`: the call may have changed something, so that without an answer the outcome is unknown
 * (detail.ambiguous).
 */
export function toTroupeError(error: unknown, changes: boolean): TroupeError {
  if (error instanceof TroupeError) return error;
  const reason = reasonOf(error);
  if (error instanceof ClientClosedError)
    return new TroupeError('store/closed', 'the store client is closed', {}, error);
  if (error instanceof EtcdLeaseInvalidError)
    return new TroupeError('store/lease-lost', `etcd has no such lease: ${reason}`, {}, error);
  if (error instanceof GRPCOutOfRangeError) return outOfRange(reason, error);
  if (isDenied(error)) {
    const message = `etcd refuses these credentials (${reason}); check user, password, certificate and role`;
    return new TroupeError('config/invalid', message, {}, error);
  }
  if (error instanceof GRPCInvalidArgumentError || error instanceof GRPCFailedPreconditionError) {
    const tooLarge = /too large|too many operations/.test(reason);
    const code = tooLarge ? 'store/too-large' : 'store/bad-value';
    return new TroupeError(code, `etcd refuses the request: ${reason}`, {}, error);
  }
  const ambiguous = changes && !isUnsent(error);
  const outcome = ambiguous ? '; whether it took effect is unknown, read again' : '';
  return new TroupeError(
    'store/unavailable',
    `etcd did not answer (${reason})${outcome}`,
    { ambiguous },
    error,
  );
}

function isDenied(error: unknown): boolean {
  return (
    error instanceof EtcdPermissionDeniedError ||
    error instanceof EtcdAuthenticationFailedError ||
    error instanceof EtcdInvalidAuthTokenError ||
    error instanceof GRPCUnauthenticatedError
  );
}

function outOfRange(reason: string, error: Error): TroupeError {
  // A revision that the store has not reached: it went back since we learnt it.
  const replaced = reason.includes('future revision');
  const message = replaced
    ? 'the store is another one or went back to an older state; list it again'
    : 'the store no longer has that revision; list it again';
  return new TroupeError('store/compacted', message, { replaced }, error);
}
