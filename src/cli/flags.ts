// The flags of one command line, each read as what it was declared to be.
import { usageError } from './failure.ts';

type Value = string | boolean | readonly (string | boolean)[] | undefined;

export class Flags {
  readonly #values: Readonly<Record<string, Value>>;

  constructor(values: Readonly<Record<string, Value>>) {
    this.#values = values;
  }

  text(name: string): string | undefined {
    const value = this.#values[name];
    return typeof value === 'string' ? value : undefined;
  }

  texts(name: string): readonly string[] {
    const value = this.#values[name];
    return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : [];
  }

  is(name: string, initial = false): boolean {
    const value = this.#values[name];
    return typeof value === 'boolean' ? value : initial;
  }

  /** Whether it was given at all. */
  has(name: string): boolean {
    return this.#values[name] !== undefined;
  }

  /** A whole number of at least `minimum`. Throws a usage error for anything else. */
  number(name: string, minimum: number): number | undefined {
    const found = this.text(name);
    return found === undefined ? undefined : wholeNumber(found, `--${name}`, minimum);
  }
}

/** Throws a usage error for what is no whole number of at least `minimum`. */
export function wholeNumber(found: string, what: string, minimum: number): number {
  const number = Number(found);
  if (/^\d+$/.test(found) && Number.isSafeInteger(number) && number >= minimum) return number;
  const wanted = `a whole number of at least ${minimum}`;
  throw usageError(`${what} should be ${wanted}; found ${JSON.stringify(found)}`);
}
