// Decides whether what came from outside may be used, before anything but this looks into it.
//
// C1  Our own reading of the header comes first: merely opening a hostile image lets qemu-img follow what it names.
// C2  qemu-img then has to agree, told the format we found, under limits (tool.ts).
// C3  What is kept is either a clean qcow2 as it came, an ISO as it came, or a fresh qcow2 that qemu-img wrote.
import { open } from 'node:fs/promises';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import { HEAD_BYTES, TAIL_BYTES, detect, type Detected, type Sample } from './image-format.ts';
import type { SourceFormat } from './image-format.ts';
import type { ImageInfo, QemuImg, Request } from './qemu-img.ts';
import { isCleanQcow2, readQcow2Header, refuseQcow2 } from './qcow2-header.ts';
import { lastWords } from './tool.ts';
import { refuseVdi } from './vdi-header.ts';
import { refuseVpc } from './vpc-header.ts';
import { refuseVmdk } from './vmdk-header.ts';

export interface Inspection {
  readonly format: SourceFormat;
  readonly mimeType: string;
  readonly virtualSizeBytes: number;
  /** It can be kept as it is. */
  readonly isKept: boolean;
}

export interface InspectOptions extends Request {
  readonly qemuImg: QemuImg;
  readonly maxVirtualSizeBytes: number;
}

/** What the file is, from a sample of its bytes. Throws `image/refused` for what is neither image nor packed image. */
export async function identify(path: string): Promise<Exclude<Detected, { kind: 'refused' }>> {
  const detected = detect(await sampleOf(path));
  if (detected.kind === 'refused') throw refusal(detected.reason);
  return detected;
}

/** Throws `image/refused` with what is wrong and what to do; `host/*` when the check itself failed. */
export async function inspect(
  path: string,
  found: Extract<Detected, { kind: 'image' }>,
  options: InspectOptions,
): Promise<Inspection> {
  const { format, mimeType } = found;
  const sample = await sampleOf(path);
  const { head, sizeBytes } = sample;
  if (format === 'iso') return { format, mimeType, virtualSizeBytes: sizeBytes, isKept: true };
  const reason = refuseHeader(format, sample);
  if (reason !== null) throw refusal(reason);
  const info = await openChecked(path, format, options);
  requireAlone(info, path);
  const virtualSizeBytes = info['virtual-size'];
  const { maxVirtualSizeBytes } = options;
  if (virtualSizeBytes > maxVirtualSizeBytes) {
    throw refusal(
      `it is a disk of ${virtualSizeBytes} bytes, and ${maxVirtualSizeBytes} are allowed`,
    );
  }
  if (virtualSizeBytes === 0) throw refusal('it is a disk of 0 bytes');
  const isKept = format === 'qcow2' && isCleanQcow2(readQcow2Header(head));
  return { format, mimeType, virtualSizeBytes, isKept };
}

function refuseHeader(format: SourceFormat, { head, tail, sizeBytes }: Sample): string | null {
  if (format === 'qcow2') return refuseQcow2(readQcow2Header(head));
  if (format === 'vmdk') return refuseVmdk(head);
  if (format === 'vdi') return refuseVdi(head, sizeBytes);
  if (format === 'vpc') return refuseVpc(head, tail);
  return null;
}

async function openChecked(
  path: string,
  format: SourceFormat,
  options: InspectOptions,
): Promise<ImageInfo> {
  const { qemuImg } = options;
  try {
    const info = await qemuImg.info(path, format, options);
    // A damaged raw disk is the guest's affair; the others have tables that must hold.
    if (format !== 'raw') await qemuImg.check(path, format, options);
    return info;
  } catch (error) {
    if (!isToolVerdict(error)) throw error;
    throw refusal(`qemu-img finds it damaged or cut off: ${lastWords(error)}`, error);
  }
}

/** qemu-img ran and did not like the image, or ran into its CPU or memory limit on it; as against could not run, or not in time. */
function isToolVerdict(error: unknown): boolean {
  if (!(error instanceof TroupeError)) return false;
  return error.code === 'host/tool-failed';
}

/** The second look, at what qemu-img itself understood. */
function requireAlone(info: ImageInfo, path: string): void {
  const specific = info['format-specific']?.data;
  const others = [
    info['backing-filename'],
    info['full-backing-filename'],
    specific?.['data-file'],
    ...(specific?.extents ?? []).map(({ filename }) => filename),
  ].filter((name) => name !== undefined && name !== path);
  if (others.length > 0) throw refusal(`it refers to another file (${others[0]})`);
  if (info.encrypted === true) throw refusal('it is encrypted, and there is no key here');
}

function refusal(reason: string, cause?: unknown): TroupeError {
  return new TroupeError('image/refused', `the image is refused: ${reason}`, {}, cause);
}

/** Errors: those of the file system. */
export async function sampleOf(path: string): Promise<Sample> {
  await using file = await open(path, 'r');
  const { size: sizeBytes } = await file.stat();
  const head = Buffer.alloc(Math.min(HEAD_BYTES, sizeBytes));
  const tail = Buffer.alloc(Math.min(TAIL_BYTES, sizeBytes));
  await file.read(head, 0, head.length, 0);
  await file.read(tail, 0, tail.length, sizeBytes - tail.length);
  return { head, tail, sizeBytes };
}
