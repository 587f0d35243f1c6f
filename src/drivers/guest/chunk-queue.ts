// Bytes on their way from who sends them unasked to who reads them: the sender is told to pause when too many wait.

export interface ChunkQueueOptions {
  readonly highBytes: number;
  /** Called when more wait than that, and when none wait any more. */
  readonly onFull: () => void;
  readonly onDrained: () => void;
  /** The reader has given up before the end. */
  readonly onGivenUp: () => void;
}

/** Read once, from the beginning. */
export class ChunkQueue implements AsyncIterable<Uint8Array> {
  readonly #options: ChunkQueueOptions;
  readonly #chunks: Uint8Array[] = [];
  #waitingBytes = 0;
  #isFull = false;
  #end: { readonly error: unknown } | 'ended' | undefined;
  #wake: () => void = () => undefined;

  constructor(options: ChunkQueueOptions) {
    this.#options = options;
  }

  push(chunk: Uint8Array): void {
    if (this.#end !== undefined) return;
    this.#chunks.push(chunk);
    this.#waitingBytes += chunk.length;
    if (!this.#isFull && this.#waitingBytes > this.#options.highBytes) {
      this.#isFull = true;
      this.#options.onFull();
    }
    this.#wake();
  }

  end(): void {
    this.#end ??= 'ended';
    this.#wake();
  }

  fail(error: unknown): void {
    this.#end ??= { error };
    this.#drained();
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        const chunk = this.#chunks.shift();
        if (chunk !== undefined) {
          this.#waitingBytes -= chunk.length;
          yield chunk;
          continue;
        }
        this.#drained();
        if (this.#end === 'ended') return;
        if (this.#end !== undefined) throw this.#end.error;
        await new Promise<void>((resolve) => (this.#wake = resolve));
      }
    } finally {
      if (this.#end === undefined) this.#options.onGivenUp();
      this.fail(new Error('given up'));
    }
  }

  #drained(): void {
    if (!this.#isFull) return;
    this.#isFull = false;
    this.#options.onDrained();
  }
}
