// What the command line has of the outside; tests hand in their own.
import type { Readable } from 'node:stream';

export interface Output {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string | Uint8Array): unknown;
}

/** A terminal's input has `setRawMode`. */
export interface Input extends Readable {
  readonly isTTY?: boolean;
  setRawMode?(isRaw: boolean): unknown;
}

export interface World {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly stdin: Input;
  readonly variables: Readonly<Record<string, string | undefined>>;
  /** The current directory. */
  readonly directory: string;
  readonly home: string;
  /** The checkout that the command belongs to. */
  readonly checkout: string;
  /** Where a daemon keeps its things when nothing else was said. */
  readonly systemDirectory: string;
  /** The login file that sf-client reads for all users of a machine. */
  readonly shakenFist: string;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
  /** Between two looks at something that is waited for. */
  readonly pollMs: number;
}
