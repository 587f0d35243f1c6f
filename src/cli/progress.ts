// What is going on while a command waits: a line that changes in place on a terminal, a line per change elsewhere.
import { onScreen } from './screen-text.ts';
import type { Output } from './world.ts';

const CLEAR = '\r\u001b[K';

export class Progress {
  readonly #screen: Output;
  #last = '';

  constructor(screen: Output) {
    this.#screen = screen;
  }

  /** `aside` changes all the time, as seconds do: shown only where the line changes in place. */
  note(text: string, aside: string): void {
    const line = onScreen(text);
    if (this.#screen.isTTY === true) {
      const width = (this.#screen.columns ?? 80) - 1;
      this.#screen.write(`${CLEAR}${`${line} (${aside})`.slice(0, width)}`);
    } else if (line !== this.#last) {
      this.#screen.write(`${line}\n`);
    }
    this.#last = line;
  }

  /** Takes the line away, so that what follows stands by itself. */
  end(): void {
    if (this.#screen.isTTY === true && this.#last !== '') this.#screen.write(CLEAR);
  }
}
