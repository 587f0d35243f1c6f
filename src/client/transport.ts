// How a client's requests travel. Filters are a JSON body on GET and DELETE too (contract: conventions 3), which not every HTTP
// client can send: that is why there are two of these, node-transport.ts and fetch-transport.ts.

export interface HttpRequest {
  readonly url: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Empty: none. */
  readonly body: string | Uint8Array;
  readonly timeoutMs: number;
  /** Gives the request up: it rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

export interface HttpAnswer {
  readonly status: number;
  readonly bytes: Uint8Array;
}

/** No answer came. */
export class TransportError extends Error {
  override readonly name = 'TransportError';
  /** Whether the server may have got the request. */
  readonly mayHaveArrived: boolean;

  constructor(reason: string, mayHaveArrived: boolean) {
    super(reason);
    this.mayHaveArrived = mayHaveArrived;
  }
}

export interface Transport {
  /** Errors: TransportError, and the signal's reason. */
  send(request: HttpRequest): Promise<HttpAnswer>;
}
