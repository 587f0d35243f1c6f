// Shows what is going on while it takes time, and how long each phase took.
import { reasonOf } from '../../actors/kernel/errors.ts';

export interface PhaseTime {
  readonly name: string;
  readonly ms: number;
}

/** Where text goes; a terminal gets a line that changes in place. */
export interface Screen {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

const TICK_MS = 250;

export class Progress {
  readonly times: PhaseTime[] = [];
  readonly #screen: Screen;
  readonly #stop: AbortSignal | undefined;

  /** A phase that fails once `stop` is aborted was called off, which is no failure of its own. */
  constructor(screen: Screen, stop?: AbortSignal) {
    this.#screen = screen;
    this.#stop = stop;
  }

  /** Runs one phase. `work` may say what it is at, and returns what to show at the end besides its result. */
  async phase<T>(
    name: string,
    work: (note: (text: string) => void) => Promise<T>,
    describe: (result: T) => string = () => '',
  ): Promise<T> {
    const startedAt = performance.now();
    let note = '';
    const line = () => `${name}: ${note === '' ? 'working' : note} (${seconds(startedAt)})`;
    const ticker =
      this.#screen.isTTY === true ? setInterval(() => this.#replace(line()), TICK_MS) : undefined;
    const takeNote = (text: string) => {
      if (text === note) return;
      note = text;
      if (ticker === undefined) this.line(`  … ${line()}`);
    };
    if (ticker === undefined) this.line(`  … ${name}`);
    try {
      const result = await work(takeNote);
      const about = describe(result);
      this.#final(ticker, `  ✓ ${name}${about === '' ? '' : `: ${about}`} (${seconds(startedAt)})`);
      this.times.push({ name, ms: performance.now() - startedAt });
      return result;
    } catch (error) {
      const ending = this.#stop?.aborted
        ? `  – ${name}: called off`
        : `  ✗ ${name}: ${reasonOf(error)}`;
      this.#final(ticker, `${ending} (${seconds(startedAt)})`);
      throw error;
    }
  }

  line(text: string): void {
    this.#screen.write(`${text}\n`);
  }

  #replace(text: string): void {
    this.#screen.write(`\r\u001b[K  … ${text}`);
  }

  #final(ticker: NodeJS.Timeout | undefined, text: string): void {
    clearInterval(ticker);
    if (ticker !== undefined) this.#screen.write('\r\u001b[K');
    this.line(text);
  }
}

function seconds(startedAt: number): string {
  return `${((performance.now() - startedAt) / 1000).toFixed(1)} s`;
}
