// The few qemu-img commands that Troupe uses.
//
// M1  The format is always given, for the file and for its backing file: nothing is probed.
// M2  File names are absolute, so none is taken for a protocol (`nbd:…`) or an option; but for a base that is read
//     through a socket of our own (nbd/reads.ts).
import type { RunTool, ToolLimits, ToolRun } from './tool.ts';
import { LONG, QUICK } from './tool.ts';
import { TroupeError, reasonOf } from '../../../actors/kernel/errors.ts';
import { Type, decoder, type Static } from '../../../actors/kernel/schema.ts';

/** Whose request it is, and when it is called off. */
export interface Request {
  readonly trace: string;
  readonly signal: AbortSignal;
}

/** Of a whole image: told how much of it is done, 0 to 1, now and then. */
export interface LongRequest extends Request {
  readonly limits: ToolLimits;
  readonly onPart?: ((part: number) => void) | undefined;
}

const MEASURE_SCHEMA = Type.Object({ required: Type.Integer({ minimum: 0 }) });
const decodeMeasure = decoder('qemu-img measure', MEASURE_SCHEMA, 'host/tool-failed');

const IMAGE_SCHEMA = Type.Object({
  'virtual-size': Type.Integer({ minimum: 0 }),
  'backing-filename': Type.Optional(Type.String()),
  'full-backing-filename': Type.Optional(Type.String()),
  encrypted: Type.Optional(Type.Boolean()),
  'cluster-size': Type.Optional(Type.Integer()),
  'format-specific': Type.Optional(
    Type.Object({
      data: Type.Object({
        'data-file': Type.Optional(Type.String()),
        compat: Type.Optional(Type.String()),
        'compression-type': Type.Optional(Type.String()),
        'extended-l2': Type.Optional(Type.Boolean()),
        extents: Type.Optional(Type.Array(Type.Object({ filename: Type.String() }))),
      }),
    }),
  ),
});
export type ImageInfo = Static<typeof IMAGE_SCHEMA>;
const decodeInfo = decoder('qemu-img info', IMAGE_SCHEMA, 'host/tool-failed');

/** `qemu-img check` exits with 3 for leaked clusters (wasted space, nothing wrong) and 63 where a format has no check. */
const CHECK_OK = [0, 3, 63];

export class QemuImg {
  readonly #run: RunTool;

  constructor(run: RunTool) {
    this.#run = run;
  }

  /** Reads the header only; other files it may name are not opened. */
  async info(path: string, format: string, request: Request): Promise<ImageInfo> {
    const args = ['info', '--output=json', '-f', format, path];
    const { stdout } = await this.#run('qemu-img', args, { ...request, limits: QUICK });
    return decodeInfo(parseJSON(stdout));
  }

  /** How many bytes the image and those it is based on hold, about. Reads their tables only. */
  async measure(path: string, request: Request): Promise<number> {
    const args = ['measure', '--output=json', '-f', 'qcow2', '-O', 'qcow2', path];
    const { stdout } = await this.#run('qemu-img', args, { ...request, limits: LONG });
    return decodeMeasure(parseJSON(stdout)).required;
  }

  /** Goes through the tables of the image. Throws `host/tool-failed` when they are damaged. */
  async check(path: string, format: string, request: Request): Promise<void> {
    const args = ['check', '-q', '-f', format, path];
    await this.#run('qemu-img', args, { ...request, limits: LONG, okCodes: CHECK_OK });
  }

  /** Writes a qcow2 without backing file and without internal snapshots. `limits.fileBytes` stops a bomb. */
  async convert(
    from: { readonly path: string; readonly format: string },
    to: string,
    request: Request & { readonly limits: ToolLimits },
  ): Promise<void> {
    const args = ['convert', '-f', from.format, '-O', 'qcow2', from.path, to];
    await this.#run('qemu-img', args, request);
  }

  /** The same, compressed, of all that the image and those it is based on hold. */
  async flatten(from: string, to: string, request: LongRequest): Promise<void> {
    const args = ['convert', '-p', '-c', '-f', 'qcow2', '-O', 'qcow2', from, to];
    await this.#run('qemu-img', args, watched(request, 0, 1));
  }

  /**
   * The same of what differs from `base`, which `to` then names as `name`: an overlay, read through its base. What was
   * written and is alike takes no space.
   */
  async extractChanges(
    from: string,
    to: string,
    base: { readonly path: string; readonly format: string; readonly name: string },
    request: LongRequest & { readonly scratch: string },
  ): Promise<void> {
    const { scratch } = request;
    const over = ['-b', from, '-F', 'qcow2'];
    await this.#run('qemu-img', ['create', '-q', '-f', 'qcow2', ...over, scratch], request);
    const backing = ['-b', base.path, '-F', base.format];
    // Compares all that either holds.
    const rebase = ['rebase', '-p', '-f', 'qcow2', ...backing, scratch];
    await this.#run('qemu-img', rebase, watched(request, 0, 0.5));
    const onto = ['-B', base.path, '-F', base.format];
    const convert = ['convert', '-p', '-c', '-f', 'qcow2', '-O', 'qcow2', ...onto, scratch, to];
    await this.#run('qemu-img', convert, watched(request, 0.5, 1));
    const named = ['-b', base.name, '-F', base.format];
    await this.#run('qemu-img', ['rebase', '-u', '-f', 'qcow2', ...named, to], request);
  }

  async createOverlay(
    path: string,
    base: { readonly path: string; readonly format: string },
    sizeBytes: number,
    request: Request,
  ) {
    const backing = ['-b', base.path, '-F', base.format];
    const args = ['create', '-q', '-f', 'qcow2', ...backing, path, String(sizeBytes)];
    await this.#run('qemu-img', args, { ...request, limits: QUICK });
  }

  /**
   * Has the header name another base with the same content; nothing is read or copied. False when somebody has the image
   * open for writing, and nothing is changed.
   */
  async rebase(
    path: string,
    base: { readonly path: string; readonly format: string },
    request: Request,
  ): Promise<boolean> {
    const args = ['rebase', '-u', '-f', 'qcow2', '-b', base.path, '-F', base.format, path];
    try {
      await this.#run('qemu-img', args, { ...request, limits: QUICK });
      return true;
    } catch (error) {
      if (reasonOf(error).includes('Failed to get "write" lock')) return false;
      throw error;
    }
  }

  async createBlank(path: string, sizeBytes: number, request: Request): Promise<void> {
    const args = ['create', '-q', '-f', 'qcow2', path, String(sizeBytes)];
    await this.#run('qemu-img', args, { ...request, limits: QUICK });
  }
}

/** Hears what `-p` prints, `    (12.50/100%)\r`, of a part of the whole. */
function watched({ onPart, ...request }: LongRequest, from: number, to: number): ToolRun {
  if (onPart === undefined) return request;
  const onOutput = (text: string) => {
    const [, percent] = [...text.matchAll(/\((\d+(?:\.\d+)?)\/100%\)/g)].at(-1) ?? [];
    if (percent !== undefined) onPart(from + ((to - from) * Number(percent)) / 100);
  };
  return { ...request, onOutput };
}

function parseJSON(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new TroupeError('host/tool-failed', 'qemu-img info did not print JSON', {}, cause);
  }
}
