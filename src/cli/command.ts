// What a command is, and what it is handed when it runs.
import type { Client } from '../client/client.ts';
import type { Flags } from './flags.ts';
import type { World } from './world.ts';

export interface FlagSpec {
  readonly type: 'string' | 'boolean';
  readonly short?: string;
  readonly multiple?: boolean;
  /** What the value is, in the help; text flags only. */
  readonly value?: string;
  readonly help: string;
  /** A boolean that is on unless `--no-NAME` is given: so it stands in the help. */
  readonly isOn?: boolean;
}
export type FlagTable = Readonly<Record<string, FlagSpec>>;

export interface Command {
  /** `noun verb`, or one word. */
  readonly name: string;
  readonly aliases?: readonly string[];
  readonly summary: string;
  /** `NAME` has to be given, `[NAME]` may be; `[NAME...]`: any number of them, empty ones too. */
  readonly args: readonly string[];
  readonly flags: FlagTable;
  readonly examples: readonly string[];
  /** More than one sentence, under the summary. */
  readonly notes?: string;
  /** For programs: in no list of commands. */
  readonly isHidden?: boolean;
  /** Returns when all is done; everything else is thrown. */
  readonly run: (call: Call) => Promise<void>;
}

export interface Call {
  readonly world: World;
  readonly args: readonly string[];
  readonly flags: Flags;
  /** Logs in at its first request. Throws when there is no login to be found. */
  readonly client: () => Client;
  /** To standard output. */
  readonly print: (text: string) => void;
  /** A word to the user that is not the result: to standard error. */
  readonly say: (text: string) => void;
}
