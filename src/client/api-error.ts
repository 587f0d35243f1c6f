// What the API answered instead of what was asked for.

/** `status` 0: the API could not be reached at all. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly status: number;
  readonly requestId: string;

  constructor(status: number, message: string, requestId: string) {
    super(message);
    this.status = status;
    this.requestId = requestId;
  }
}
