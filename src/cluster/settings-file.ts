// The settings file of a data directory, as commands write it; src/config reads it.
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TroupeError } from '../../actors/kernel/errors.ts';
import type { SettingName } from '../config/settings.ts';

export type Settings = Partial<Record<SettingName, string | number | readonly string[]>>;

/** Adds settings to the file; those of the same name are replaced. Error: `config/invalid` when the file is no JSON. */
export function addSettings(dataDir: string, settings: Settings): void {
  const path = join(dataDir, 'troupe.json');
  mkdirSync(dataDir, { recursive: true });
  const merged = { ...readObject(path), ...settings };
  writeFileSync(`${path}.new`, `${JSON.stringify(merged, null, 2)}\n`, { flush: true });
  renameSync(`${path}.new`, path);
}

function readObject(path: string): object {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw error;
  }
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  } catch (cause) {
    throw new TroupeError('config/invalid', `the settings file ${path} is not JSON`, {}, cause);
  }
  throw new TroupeError('config/invalid', `the settings file ${path} holds no JSON object`);
}
