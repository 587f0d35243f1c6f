// The graphics card of POST /instances (contract: instances 3.3).
import type { InstanceState } from '../../../actors/instance/state.ts';
import { badRequest } from '../services.ts';
import { wholeNumber } from '../objects/whole-number.ts';

const DEFAULT = { model: 'cirrus', memory: 16384, vdi: 'spice' };
const DEFAULT_VDI = 'spice';
const WORD = /^[\w-]{1,32}$/;

/** What the instance gets, and what its view echoes. Errors: 400 with the contract's texts. */
export function videoSpec(asked: unknown): Pick<InstanceState, 'video' | 'videoSpec'> {
  const spec = completed(asked);
  const { model, memory, vdi } = spec;
  if (model === undefined || model === null)
    throw badRequest('video specification requires "model"');
  const memoryKiB = wholeNumber(memory);
  if (memory === undefined || memory === null)
    throw badRequest('video specification requires "memory"');
  if (memoryKiB === undefined || memoryKiB < 1)
    throw badRequest('video memory should be a number of KiB');
  if (!isWord(model)) throw badRequest('video model should be a word such as cirrus, vga or qxl');
  if (!isWord(vdi)) throw badRequest('vdi should be vnc, spice or spiceconcurrent');
  return { video: { model, memoryKiB, vdi }, videoSpec: spec };
}

function completed(asked: unknown): Record<string, unknown> {
  if (asked === undefined || asked === null) return DEFAULT;
  if (typeof asked !== 'object' || Array.isArray(asked)) {
    throw badRequest('video specification should be a JSON object');
  }
  if (Object.keys(asked).length === 0) return DEFAULT;
  const spec: Record<string, unknown> = { ...asked };
  return { ...spec, vdi: spec['vdi'] ?? DEFAULT_VDI };
}

function isWord(value: unknown): value is string {
  return typeof value === 'string' && WORD.test(value);
}
