// Log lines: one JSON object each, or text for people, through a sink that the composition root brings.
import type { Clock } from './clock.ts';
import { reasonOf, TroupeError } from './errors.ts';
import type { Log, LogLevel } from './ports.ts';

const RANK: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };
type Fields = Readonly<Record<string, unknown>>;

export interface LogOptions {
  readonly clock: Clock;
  /** Gets one line without its newline. */
  readonly sink: (line: string) => void;
  readonly level?: LogLevel;
  /** On every line: node, process. */
  readonly fields?: Fields;
}

/** A log that writes JSON lines: time, level, message, then the fields. Never throws. */
export function jsonLog(options: LogOptions): Log {
  const least = RANK[options.level ?? 'info'];
  return (level, message, fields = {}) => {
    if (RANK[level] < least) return;
    const time = new Date(options.clock.nowMs()).toISOString();
    options.sink(line({ time, level, message, ...options.fields, ...fields }));
  };
}

/** As jsonLog(), for people: time, level, message, then `name=value`, a value as JSON where it is not one plain word. */
export function textLog(options: LogOptions): Log {
  const least = RANK[options.level ?? 'info'];
  return (level, message, fields = {}) => {
    if (RANK[level] < least) return;
    const time = new Date(options.clock.nowMs()).toISOString();
    const pairs = Object.entries({ ...options.fields, ...fields })
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => ` ${name}=${word(value)}`);
    options.sink(`${time} ${level.toUpperCase().padEnd(5)} ${message}${pairs.join('')}`);
  };
}

const PLAIN_WORD = /^[\w.:/@+-]+$/;

/** Quoted unless it is plain: what others have named must not look like another field, or another line. */
function word(value: unknown): string {
  if (typeof value === 'string' && PLAIN_WORD.test(value)) return value;
  return line(value);
}

/** The same log with fields on every line: an actor's address, a request's trace. */
export function withFields(log: Log, bound: Fields): Log {
  return (level, message, fields) => log(level, message, { ...bound, ...fields });
}

function line(entry: unknown): string {
  try {
    return JSON.stringify(entry, replacer);
  } catch (error) {
    return JSON.stringify({ level: 'error', message: `unloggable: ${reasonOf(error)}` });
  }
}

/** Errors have no enumerable fields of their own; their cause stays on the node, so the log is its place. */
function replacer(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (!(value instanceof Error)) return value;
  const code = value instanceof TroupeError ? { code: value.code, detail: value.detail } : {};
  return { ...code, message: value.message, stack: value.stack, cause: value.cause };
}
