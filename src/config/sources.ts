// Where settings come from: flags over variables over a file over defaults.
import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { TroupeError } from '../../actors/kernel/errors.ts';
import { isSettingName, SETTINGS, SHORTHANDS, variableOf, type SettingName } from './settings.ts';
import { Expected, type Parser } from './values.ts';

/** A setting's text, where it stands, and what a relative path in it is relative to. */
interface Found {
  readonly text: string;
  readonly where: string;
  readonly directory: string;
}

export interface Input {
  readonly flags: readonly string[];
  readonly variables: Readonly<Record<string, string | undefined>>;
  /** What relative paths of flags and variables are relative to. */
  readonly directory: string;
}

export type Read = <T>(name: SettingName, parser: Parser<T>, initial?: () => string) => T;

/** A reader of settings by the order above. Throws `config/invalid` for what cannot be understood. */
export function settingsReader(input: Input): Read {
  const given = new Map([...fromVariables(input), ...fromFlags(input)]);
  const all = new Map([...fromFile(given), ...given]);
  return (name, parser, initial = () => SETTINGS[name].initial) => {
    const found = all.get(name) ?? { text: initial(), where: `the default`, directory: '/' };
    try {
      return parser(found.text, found.directory);
    } catch (error) {
      if (!(error instanceof Expected)) throw error;
      throw invalid(name, found.where, `expected ${error.message}`, found.text);
    }
  };
}

/** The error of a setting that cannot be used. */
export function invalid(name: string, where: string, what: string, found: string): TroupeError {
  const message = `setting ${name} (${where}): ${what}; found ${JSON.stringify(found.slice(0, 200))}`;
  return new TroupeError('config/invalid', message, { setting: name });
}

function fromFlags(input: Input): Map<SettingName, Found> {
  const settings = new Map<SettingName, Found>();
  const words = input.flags[Symbol.iterator]();
  for (const word of words) {
    const [, flag = '', , value] = /^--([a-z-]+)(=([\s\S]*))?$/.exec(word) ?? [];
    const [name, text] = SHORTHANDS[flag] ?? [flag, value ?? undefined];
    if (!isSettingName(name)) throw unknown(word, 'flag');
    const taken = text ?? words.next().value;
    if (taken === undefined) throw invalid(name, `flag ${word}`, 'expected a value after it', '');
    if (settings.has(name))
      throw invalid(name, `flag ${word}`, 'is given twice, or with its opposite', taken);
    settings.set(name, { text: taken, where: `flag --${flag}`, directory: input.directory });
  }
  return settings;
}

function fromVariables(input: Input): Map<SettingName, Found> {
  const settings = new Map<SettingName, Found>();
  for (const name of Object.keys(SETTINGS).filter(isSettingName)) {
    const text = input.variables[variableOf(name)];
    const where = `variable ${variableOf(name)}`;
    if (text !== undefined) settings.set(name, { text, where, directory: input.directory });
  }
  return settings;
}

/** The file that `config` names, which must be there; else the data directory's, which need not. */
function fromFile(given: ReadonlyMap<SettingName, Found>): Map<SettingName, Found> {
  const named = given.get('config');
  const dataDir = given.get('data-dir');
  const place = dataDir ?? { text: SETTINGS['data-dir'].initial, directory: '/' };
  const path =
    named === undefined
      ? join(resolve(place.directory, place.text), 'troupe.json')
      : resolve(named.directory, named.text);
  const settings = new Map<SettingName, Found>();
  for (const [name, value] of Object.entries(readObject(path, named !== undefined))) {
    if (!isSettingName(name) || name === 'config') throw unknown(name, `key in ${path}`);
    // The file was found by the data directory; it cannot then say that it is another.
    if (name === 'data-dir' && named === undefined) throw unknown(name, `key in ${path}`);
    settings.set(name, { text: textOf(name, value, path), where: path, directory: dirname(path) });
  }
  return settings;
}

function readObject(path: string, mustExist: boolean): object {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    const isMissing = cause instanceof Error && 'code' in cause && cause.code === 'ENOENT';
    if (isMissing && !mustExist) return {};
    const message = `the settings file ${path} cannot be read: ${String(cause)}`;
    throw new TroupeError('config/invalid', message, { path }, cause);
  }
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  } catch (cause) {
    const message = `the settings file ${path} is not JSON: ${String(cause)}`;
    throw new TroupeError('config/invalid', message, { path }, cause);
  }
  const message = `the settings file ${path} has to hold one JSON object, such as {"api-port": 13000}`;
  throw new TroupeError('config/invalid', message, { path });
}

function textOf(name: SettingName, value: unknown, path: string): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return String(value);
  if (Array.isArray(value) && value.every((each) => typeof each === 'string'))
    return value.join(',');
  throw invalid(name, path, 'expected text, a number or a list of texts', JSON.stringify(value));
}

function unknown(found: string, kind: string): TroupeError {
  const known = Object.keys(SETTINGS).join(', ');
  const message = `${JSON.stringify(found.slice(0, 100))} is no ${kind} that is known here; settings are ${known}`;
  return new TroupeError('config/invalid', message, { found: found.slice(0, 100) });
}
