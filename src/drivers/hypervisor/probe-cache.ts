// The probe's answer, kept in a small file of the data directory.
//
// K1  A file that cannot be read or understood is no answer, never a failure: the probe runs again.
// K2  Written beside and renamed, so that a crash leaves the old answer or the new one.
import { readFile, rename, writeFile } from 'node:fs/promises';
import type { Probed } from './probe.ts';

/** What was found for this key, or undefined. */
export async function readProbed(file: string, key: string): Promise<Probed | undefined> {
  let stored: unknown;
  try {
    stored = JSON.parse(await readFile(file, 'utf8'));
  } catch {
    return undefined; // K1
  }
  return isStored(stored) && stored.key === key ? stored.probed : undefined;
}

/** Remembers the answer for this key, and forgets any other. */
export async function writeProbed(file: string, key: string, probed: Probed): Promise<void> {
  const beside = `${file}.new`;
  await writeFile(beside, `${JSON.stringify({ key, probed }, undefined, 2)}\n`);
  await rename(beside, file);
}

function isStored(value: unknown): value is { key: string; probed: Probed } {
  if (!isRecord(value) || typeof value['key'] !== 'string') return false;
  const probed = value['probed'];
  if (!isRecord(probed)) return false;
  const { accelerator, cpuModel, warning, qemuVersion } = probed;
  return (
    (accelerator === 'kvm' || accelerator === 'tcg') &&
    typeof cpuModel === 'string' &&
    (warning === null || typeof warning === 'string') &&
    typeof qemuVersion === 'string'
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
