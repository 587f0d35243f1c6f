// What the API answered instead of what was asked for; a class for each sort, so that a program can tell them apart by
// `instanceof` and never by words.

/** `status` 0: the API could not be reached at all. `request`: method and path, as in `GET /instances`. */
export class ApiError extends Error {
  override readonly name: string = 'ApiError';
  readonly status: number;
  readonly requestId: string;
  readonly request: string;

  constructor(status: number, message: string, requestId: string, request = '') {
    super(message);
    this.status = status;
    this.requestId = requestId;
    this.request = request;
  }
}

/** 400: what was asked for makes no sense. */
export class BadRequestError extends ApiError {
  override readonly name = 'BadRequestError';
}

/** 401: neither the token nor the key is accepted, or this is for the system namespace only. */
export class UnauthenticatedError extends ApiError {
  override readonly name = 'UnauthenticatedError';
}

/** 403: deliberately refused. */
export class ForbiddenError extends ApiError {
  override readonly name = 'ForbiddenError';
}

/** 404: not there, or not for the caller to see. */
export class NotFoundError extends ApiError {
  override readonly name = 'NotFoundError';
}

/** 406: not in the state that this needs; later, perhaps. */
export class NotReadyError extends ApiError {
  override readonly name = 'NotReadyError';
}

/** 409: at odds with what is. */
export class ConflictError extends ApiError {
  override readonly name = 'ConflictError';
}

/** 507: no node, no address, no space. */
export class NoCapacityError extends ApiError {
  override readonly name = 'NoCapacityError';
}

/** 0 and 503: nobody answers, or who does cannot decide now. What was sent may have been done. */
export class UnavailableError extends ApiError {
  override readonly name = 'UnavailableError';
}

type Made = new (status: number, message: string, requestId: string, request?: string) => ApiError;

const BY_STATUS: Readonly<Record<number, Made>> = {
  0: UnavailableError,
  400: BadRequestError,
  401: UnauthenticatedError,
  403: ForbiddenError,
  404: NotFoundError,
  406: NotReadyError,
  409: ConflictError,
  503: UnavailableError,
  507: NoCapacityError,
};

export function apiError(
  status: number,
  message: string,
  requestId: string,
  request: string,
): ApiError {
  const Sort = BY_STATUS[status] ?? ApiError;
  return new Sort(status, message, requestId, request);
}

/** An object got to `error` instead of the state that was waited for. */
export class ObjectFailedError extends Error {
  override readonly name = 'ObjectFailedError';
  readonly kind: string;
  readonly id: string;

  constructor(kind: string, id: string, reason: string) {
    super(`${kind} ${id} failed: ${reason}`);
    this.kind = kind;
    this.id = id;
  }
}

/** It did not get there in time; the work goes on. */
export class WaitTimeoutError extends Error {
  override readonly name = 'WaitTimeoutError';
}
