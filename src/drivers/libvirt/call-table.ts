// The calls of one connection that have no reply yet.
//
// T1  At most `maxInFlight` calls are with the daemon; the others wait here, in order. libvirtd stops
//     reading a client's socket at its max_client_requests (5 unless configured), keepalive included,
//     and then takes the silence for death. So the default stays below that.
// T2  A caller is told exactly once: reply, error, deadline, abort or lost connection.
// T3  libvirt cannot take a call back. One that a caller gave up on keeps its place until the daemon
//     answers, because the daemon counts it too; its late reply is dropped without a word.
// T4  When calls given up on hold every place, the connection is of no use any more: stuck() is told,
//     and a new connection gets new places.
// T5  A reply that nobody is owed, or to another procedure than was called, breaks the protocol.
import { clientError, daemonError } from './errors.ts';
import type { LibvirtError } from './errors.ts';
import { encodeFrame } from './frame.ts';
import type { Frame } from './frame.ts';
import type { Procedure } from './procedure.ts';
import { remoteError } from './wire.ts';
import { decode, encode } from './xdr.ts';

const MAX_SERIAL = 0xffff_ffff;

export interface CallOptions {
  /** How long to wait for the reply; the connection's default when left out. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

interface Call {
  readonly serial: number;
  readonly procedure: { readonly name: string; readonly program: number; readonly number: number };
  readonly frame: Buffer;
  /** Decodes and hands over the result; throws `malformed`. */
  readonly accept: (payload: Buffer) => void;
  readonly reject: (error: LibvirtError) => void;
  /** Ends deadline and abort listening. */
  release: () => void;
  state: 'queued' | 'sent' | 'given-up';
}

export interface CallTableOptions {
  readonly send: (frame: Buffer) => void;
  /** Every place is held by a call that was given up (T4). */
  readonly stuck: () => void;
  readonly maxInFlight: number;
  readonly callTimeoutMs: number;
}

export class CallTable {
  readonly #options: CallTableOptions;
  readonly #calls = new Map<number, Call>();
  readonly #queue: Call[] = [];
  #inFlight = 0;
  #givenUp = 0;
  #serial = 0;

  constructor(options: CallTableOptions) {
    this.#options = options;
  }

  /** Sends a call, at once or when there is room (T1). The serial is known before the reply. */
  start<A, R>(
    procedure: Procedure<A, R>,
    args: A,
    options: CallOptions,
  ): { serial: number; reply: Promise<R> } {
    const serial = this.#nextSerial();
    const payload = encode(procedure.args, args);
    const { program, number } = procedure;
    const reply = new Promise<R>((resolve, reject) => {
      const call: Call = {
        serial,
        procedure,
        frame: encodeFrame({
          program,
          procedure: number,
          type: 'call',
          serial,
          status: 'ok',
          payload,
        }),
        accept: (bytes) => resolve(decode(procedure.result, bytes)),
        reject,
        release: () => undefined,
        state: 'queued',
      };
      this.#calls.set(serial, call);
      this.#queue.push(call);
      this.#guard(call, options);
      this.#fill();
    });
    return { serial, reply };
  }

  /** Takes a reply to its caller. Returns what is wrong with it, if anything (T5). */
  settle(frame: Frame): string | undefined {
    const call = this.#calls.get(frame.serial);
    if (call === undefined || call.state === 'queued') {
      return `a reply to call ${frame.serial}, which is not outstanding`;
    }
    const { procedure } = call;
    if (frame.procedure !== procedure.number || frame.program !== procedure.program) {
      return `a reply of procedure ${frame.procedure} to ${procedure.name}`;
    }
    this.#calls.delete(call.serial);
    call.release();
    this.#inFlight--;
    if (call.state === 'given-up') this.#givenUp--;
    this.#fill();
    try {
      if (frame.status === 'ok') call.accept(frame.payload);
      else call.reject(daemonError(decode(remoteError, frame.payload), procedure.name));
      return undefined;
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      call.reject(this.#lost(call, 'malformed', message, error));
      return `${procedure.name}: ${message}`;
    }
  }

  /** Fails every call: the connection is gone. */
  fail(cause: LibvirtError): void {
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    this.#queue.length = 0;
    for (const call of calls) {
      call.release();
      call.reject(this.#lost(call, 'disconnected', cause.message, cause));
    }
  }

  #fill(): void {
    while (this.#inFlight < this.#options.maxInFlight) {
      const call = this.#queue.shift();
      if (call === undefined) return;
      call.state = 'sent';
      this.#inFlight++;
      this.#options.send(call.frame);
    }
  }

  /** Deadline and abort of one call, until it is settled. */
  #guard(call: Call, { timeoutMs = this.#options.callTimeoutMs, signal }: CallOptions): void {
    const late = () => this.#giveUp(call, 'deadline', `no reply within ${timeoutMs} ms`);
    const abort = () => this.#giveUp(call, 'aborted', 'aborted by the caller', signal?.reason);
    const timer = setTimeout(late, timeoutMs);
    call.release = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
    };
    signal?.addEventListener('abort', abort, { once: true });
    if (signal?.aborted) abort();
  }

  /** Tells the caller now; a sent call keeps its place until the daemon answers (T3). */
  #giveUp(call: Call, reason: 'deadline' | 'aborted', message: string, cause?: unknown): void {
    call.release();
    call.reject(this.#lost(call, reason, message, cause));
    if (call.state === 'queued') {
      this.#calls.delete(call.serial);
      this.#queue.splice(this.#queue.indexOf(call), 1);
      return;
    }
    call.state = 'given-up';
    this.#givenUp++;
    if (this.#givenUp === this.#options.maxInFlight) this.#options.stuck();
  }

  #lost(
    call: Call,
    reason: 'malformed' | 'disconnected' | 'deadline' | 'aborted',
    message: string,
    cause: unknown,
  ): LibvirtError {
    const outcome = call.state === 'queued' ? 'not-sent' : 'unknown';
    const procedure = call.procedure.name;
    return clientError(reason, `${procedure}: ${message}`, { outcome, procedure, cause });
  }

  #nextSerial(): number {
    do this.#serial = this.#serial === MAX_SERIAL ? 1 : this.#serial + 1;
    while (this.#calls.has(this.#serial));
    return this.#serial;
  }
}
