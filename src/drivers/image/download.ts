// Brings what a URL names into a file, whatever the server does on the way. Runs on the worker thread.
//
// W1  A download that broke off goes on where it was, as long as the server proves that it is the same version.
// W2  It ends: attempts in a row without progress are counted, an answer and a stall have deadlines, and the
//     size is limited by what is declared and by what comes.
// W3  Memory is flat: one chunk at a time, and the socket waits while it is written and hashed.
import type { IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import { calledOff } from './called-off.ts';
import { asDiskFull, requireSpace } from './disk-space.ts';
import { DestinationCheck, type FetchPolicy } from './fetch-policy.ts';
import { asUnreachable, get, parseURL, shownURL, unreachable } from './http-source.ts';
import { judgeAnswer } from './http-range.ts';
import { PartialFile, type Validators } from './partial-file.ts';

export interface DownloadTiming {
  /** To the head of an answer. */
  readonly answerTimeoutMs: number;
  /** Fewer than `stallBytes` within this break the connection off. */
  readonly stallTimeoutMs: number;
  readonly stallBytes: number;
  /** Attempts in a row that brought less than `stallBytes`, after which it gives up. */
  readonly maxAttempts: number;
  /** Before the second attempt; four times as long before each further one. */
  readonly retryDelayMs: number;
}

export const DEFAULT_TIMING: DownloadTiming = {
  answerTimeoutMs: 20_000,
  stallTimeoutMs: 30_000,
  stallBytes: 4096,
  maxAttempts: 3,
  retryDelayMs: 250,
};

export interface DownloadRequest {
  readonly url: string;
  /** Where it goes; a note beside it makes it resumable. */
  readonly path: string;
  readonly maxSizeBytes: number;
  readonly minFreeBytes: number;
  readonly policy: FetchPolicy;
  readonly timing: DownloadTiming;
}

export interface Downloaded {
  readonly sizeBytes: number;
  readonly sha256: string;
  readonly etag: string | null;
  readonly lastModified: string | null;
}

export interface DownloadReports {
  progress(doneBytes: number, totalBytes: number | null): void;
  /** Something worth a log line: broken off, started over. */
  notice(text: string): void;
}

/** Errors: `image/bad-url`, `image/unreachable`, `image/refused` (too large), `host/disk-full`, `actor/stopped`. */
export async function download(
  request: DownloadRequest,
  reports: DownloadReports,
  signal: AbortSignal,
): Promise<Downloaded> {
  const url = parseURL(request.url);
  const partial = new PartialFile(request.path, request.url);
  try {
    const transfer = new Transfer(url, request, partial, { reports, signal });
    await transfer.run();
    const { etag, lastModified } = partial.validators;
    return { sizeBytes: partial.offset, sha256: partial.sha256(), etag, lastModified };
  } catch (error) {
    throw asDiskFull(error, request.path);
  } finally {
    partial.close();
  }
}

class Transfer {
  readonly #url: URL;
  readonly #request: DownloadRequest;
  readonly #partial: PartialFile;
  readonly #reports: DownloadReports;
  readonly #signal: AbortSignal;
  readonly #check: DestinationCheck;

  constructor(
    url: URL,
    request: DownloadRequest,
    partial: PartialFile,
    shell: { reports: DownloadReports; signal: AbortSignal },
  ) {
    this.#url = url;
    this.#request = request;
    this.#partial = partial;
    this.#reports = shell.reports;
    this.#signal = shell.signal;
    this.#check = new DestinationCheck(request.policy);
  }

  async run(): Promise<void> {
    const { timing } = this.#request;
    let attempts = 0;
    // A server that starts over and breaks off at the same byte each time makes no progress.
    let best = this.#partial.offset;
    while (!this.#partial.isComplete) {
      try {
        await this.#attempt();
      } catch (error) {
        if (this.#signal.aborted) throw calledOff(error);
        const failure = this.#asFailure(error);
        this.#partial.checkpoint();
        const hasProgress = this.#partial.offset - best >= timing.stallBytes;
        best = Math.max(best, this.#partial.offset);
        attempts = hasProgress ? 1 : attempts + 1;
        if (failure.retry === 'never' || attempts >= timing.maxAttempts) throw failure;
        this.#reports.notice(`${failure.message}; trying again from byte ${this.#partial.offset}`);
        await this.#pause(timing.retryDelayMs * 4 ** (attempts - 1));
      }
    }
  }

  async #attempt(): Promise<void> {
    if (this.#partial.offset > 0 && this.#partial.offset === this.#partial.validators.totalBytes) {
      return this.#partial.complete();
    }
    const headers: Record<string, string> = { 'Accept-Encoding': 'identity' };
    const validator = this.#partial.rangeValidator;
    if (this.#partial.offset > 0 && validator !== null) {
      headers['Range'] = `bytes=${this.#partial.offset}-`;
      headers['If-Range'] = validator;
    }
    const { answerTimeoutMs } = this.#request.timing;
    const options = { check: this.#check, headers, answerTimeoutMs, signal: this.#signal };
    const { status, body } = await get(this.#url, options);
    try {
      const judged = judgeAnswer(status, body.headers, this.#partial, this.#url);
      if (judged.kind === 'out-of-step') {
        this.#partial.begin({ etag: null, lastModified: null, totalBytes: null });
        throw unreachable(this.#url, 'answered with a part that does not continue ours');
      }
      if (judged.kind === 'restart') this.#begin(judged.validators);
      await this.#receive(body);
    } finally {
      body.destroy();
    }
  }

  #begin(validators: Validators): void {
    if (this.#partial.offset > 0) this.#reports.notice(`${this.#shown()} starts over`);
    this.#partial.begin(validators);
  }

  async #receive(body: IncomingMessage): Promise<void> {
    const { totalBytes } = this.#partial.validators;
    await this.#requireRoom(totalBytes);
    const unwatch = this.#watchForStall(body);
    try {
      for await (const chunk of body as AsyncIterable<Buffer>) {
        this.#requireWithin(this.#partial.offset + chunk.length, totalBytes);
        this.#partial.append(chunk);
        this.#reports.progress(this.#partial.offset, totalBytes);
      }
    } finally {
      unwatch();
    }
    if (totalBytes !== null && this.#partial.offset < totalBytes) {
      throw unreachable(
        this.#url,
        `ended after ${this.#partial.offset} of ${totalBytes} bytes it had announced`,
      );
    }
    this.#partial.complete();
  }

  async #requireRoom(totalBytes: number | null): Promise<void> {
    this.#requireWithin(totalBytes ?? 0, null);
    const missing = (totalBytes ?? 0) - this.#partial.offset;
    await requireSpace(this.#request.path, Math.max(0, missing), this.#request.minFreeBytes);
  }

  #requireWithin(sizeBytes: number, totalBytes: number | null): void {
    const { maxSizeBytes } = this.#request;
    if (sizeBytes > maxSizeBytes) {
      throw new TroupeError(
        'image/refused',
        `${this.#shown()} has ${totalBytes ?? `at least ${sizeBytes}`} bytes, and an image may have ${maxSizeBytes}; use a smaller one (compressed qcow2), or raise the limit`,
        { maxSizeBytes },
      );
    }
    if (totalBytes !== null && sizeBytes > totalBytes) {
      throw unreachable(this.#url, `sent more than the ${totalBytes} bytes it had announced`);
    }
  }

  /** Destroys the body when too little comes in a whole window; the loop that reads it then throws. */
  #watchForStall(body: IncomingMessage): () => void {
    const { stallTimeoutMs, stallBytes } = this.#request.timing;
    let seen = this.#partial.offset;
    const timer = setInterval(() => {
      const { offset } = this.#partial;
      if (offset - seen < stallBytes) {
        const what = `stalled: ${offset - seen} bytes in ${stallTimeoutMs} ms`;
        body.destroy(unreachable(this.#url, what));
      }
      seen = offset;
    }, stallTimeoutMs);
    return () => clearInterval(timer);
  }

  async #pause(delayMs: number): Promise<void> {
    try {
      await sleep(delayMs, undefined, { signal: this.#signal });
    } catch (cause) {
      throw calledOff(cause);
    }
  }

  #asFailure(error: unknown): TroupeError {
    const named = asDiskFull(error, this.#request.path);
    return asUnreachable(this.#url, named);
  }

  #shown(): string {
    return shownURL(this.#url);
  }
}
