// UEFI firmware of the host: where Debian's `ovmf` package puts it.
//
// F1  Secure boot needs the build that knows SMM and the variables with Microsoft's keys enrolled; the
//     plain build has neither, and the two never mix.
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { TroupeError } from '../../../actors/kernel/errors.ts';

export interface Firmware {
  /** Read-only code image. */
  readonly loader: string;
  /** Variables that a new guest starts with. */
  readonly nvramTemplate: string;
}

const FOLDER = '/usr/share/OVMF';
/** Newest layout first: Debian 13 has only the 4 MiB builds. */
const PLAIN: readonly (readonly [code: string, variables: string])[] = [
  ['OVMF_CODE_4M.fd', 'OVMF_VARS_4M.fd'],
  ['OVMF_CODE.fd', 'OVMF_VARS.fd'],
];
const SECURE: readonly (readonly [code: string, variables: string])[] = [
  ['OVMF_CODE_4M.ms.fd', 'OVMF_VARS_4M.ms.fd'],
  ['OVMF_CODE.ms.fd', 'OVMF_VARS.ms.fd'],
];

/** Finds the firmware; error `host/tool-missing` when it is not installed. */
export function findFirmware(secureBoot: boolean, folder: string = FOLDER): Firmware {
  for (const [code, variables] of secureBoot ? SECURE : PLAIN) {
    const firmware = { loader: join(folder, code), nvramTemplate: join(folder, variables) };
    if (existsSync(firmware.loader) && existsSync(firmware.nvramTemplate)) return firmware;
  }
  const what = secureBoot ? 'UEFI firmware with secure boot' : 'UEFI firmware';
  throw new TroupeError(
    'host/tool-missing',
    `${what} is not in ${folder}: install Debian's package ovmf`,
    { folder },
  );
}

/** QEMU maps variables and code one after the other: their sizes belong together. Error: `hypervisor/refused`. */
export function requireFitting(nvramTemplate: string, { nvramTemplate: stock }: Firmware): void {
  const [found, wanted] = [statSync(nvramTemplate).size, statSync(stock).size];
  if (found === wanted) return;
  const text = `the NVRAM template has ${found} bytes, and the firmware of this machine keeps its variables in ${wanted}: use one that was made with this firmware`;
  throw new TroupeError('hypervisor/refused', text);
}
