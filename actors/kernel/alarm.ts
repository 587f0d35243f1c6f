// The one time an actor waits for. Rings when it comes, and again every minute while the state goes on
// naming it: nothing waits for ever, and a kind that ignores its time does not spin.
import type { Timer } from './clock.ts';
import type { Environment } from './environment.ts';

const AGAIN_MS = 60_000;

export class Alarm {
  readonly #env: Environment;
  readonly #ring: (atMs: number) => void;
  #timer: Timer | null = null;
  #atMs: number | null = null;

  /** `ring` is told which time has come. */
  constructor(env: Environment, ring: (atMs: number) => void) {
    this.#env = env;
    this.#ring = ring;
  }

  /** The wall-clock time it is set to. */
  get atMs(): number | null {
    return this.#atMs;
  }

  /** Null: none. Setting the time it already has changes nothing, also when that one has rung. */
  set(atMs: number | null): void {
    if (atMs === this.#atMs) return;
    this.cancel();
    this.#atMs = atMs;
    if (atMs !== null) this.#timer = this.#env.timers.atWall(atMs, () => this.#rang(atMs));
  }

  cancel(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.#atMs = null;
  }

  #rang(atMs: number): void {
    this.#timer = this.#env.timers.after(AGAIN_MS, () => this.#rang(atMs));
    this.#ring(atMs);
  }
}
