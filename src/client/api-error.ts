// What the API answered instead of what was asked for.

/** `status` 0: the API could not be reached at all. `request`: method and path, as in `GET /instances`. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
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
