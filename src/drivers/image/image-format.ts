// What a file is, from its own bytes: qemu-img is always told the format and never probes, because a raw
// disk whose first bytes its guest wrote would otherwise be opened as whatever those bytes claim.
//
// D1  The order matters: an ISO for USB sticks also has a boot sector, a fixed VHD is a raw disk with a footer.
// D2  Nothing is raw by default only: text (an error page), archives and foreign formats are named and refused.
import { isQcow2 } from './qcow2-header.ts';
import { isVmdk, isVmdkDescriptor } from './vmdk-header.ts';

export type SourceFormat = 'qcow2' | 'raw' | 'vmdk' | 'vdi' | 'vhdx' | 'vpc' | 'iso';
export type Packing = 'gzip' | 'xz' | 'zstd' | 'bzip2';

export type Detected =
  | { readonly kind: 'image'; readonly format: SourceFormat; readonly mimeType: string }
  | { readonly kind: 'packed'; readonly packing: Packing; readonly mimeType: string }
  | { readonly kind: 'refused'; readonly reason: string };

/** The first 64 KiB (or all of it) and the last 512 bytes of a file. */
export interface Sample {
  readonly head: Buffer;
  readonly tail: Buffer;
  readonly sizeBytes: number;
}

export const HEAD_BYTES = 64 * 1024;
export const TAIL_BYTES = 512;
const SECTOR = 512;
const ISO_VOLUME_AT = 32_768;
const DISK = 'application/octet-stream';

type Rule = readonly [test: (sample: Sample) => boolean, outcome: Detected];

const starts =
  (...bytes: number[]) =>
  ({ head }: Sample) =>
    bytes.every((byte, at) => head[at] === byte);
const has =
  (text: string, at = 0) =>
  ({ head }: Sample) =>
    head.toString('latin1', at, at + text.length) === text;
const image = (format: SourceFormat, mimeType = DISK): Detected => ({
  kind: 'image',
  format,
  mimeType,
});
const packed = (packing: Packing, mimeType: string): Detected => ({
  kind: 'packed',
  packing,
  mimeType,
});
const refused = (reason: string): Detected => ({ kind: 'refused', reason });
const foreign = (name: string) =>
  refused(`it is a ${name} image; convert it first: qemu-img convert -O qcow2 IN OUT`);

const RULES: readonly Rule[] = [
  [({ sizeBytes }) => sizeBytes === 0, refused('it is empty')],
  [({ head }) => isQcow2(head) && head.readUInt32BE(4) === 1, foreign('qcow version 1')],
  [({ head }) => isQcow2(head), image('qcow2')],
  [starts(0x51, 0x46, 0x49, 0xfb), refused('it is cut off within its qcow2 header')],
  [({ head }) => isVmdk(head), image('vmdk')],
  [
    ({ head }) => isVmdkDescriptor(head),
    refused(
      'it is a VMDK descriptor, which only names other files; upload the disk as one file: qemu-img convert -O qcow2 IN OUT',
    ),
  ],
  [has('COWD'), foreign('VMDK version 3')],
  [({ head }) => head.length > 68 && head.readUInt32LE(64) === 0xbe_da_10_7f, image('vdi')],
  [has('vhdxfile'), image('vhdx')],
  [has('conectix'), image('vpc')],
  [({ tail }) => tail.toString('latin1', 0, 8) === 'conectix', image('vpc')],
  [has('QED\0'), foreign('QED')],
  [has('LUKS\xba\xbe'), refused('it is encrypted (LUKS), and there is no key here; decrypt it')],
  [has('WithoutFreeSpace'), foreign('Parallels')],
  [has('WithouFreSpacExt'), foreign('Parallels')],
  [({ tail }) => tail.toString('latin1', 0, 4) === 'koly', foreign('DMG')],
  [has('CD001', ISO_VOLUME_AT + 1), image('iso', 'application/x-iso9660-image')],
  [starts(0x1f, 0x8b), packed('gzip', 'application/gzip')],
  [starts(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00), packed('xz', 'application/x-xz')],
  [starts(0x28, 0xb5, 0x2f, 0xfd), packed('zstd', 'application/zstd')],
  [has('BZh'), packed('bzip2', 'application/x-bzip2')],
  [
    starts(0x50, 0x4b, 0x03, 0x04),
    refused('it is a ZIP archive; unpack it and use the image in it'),
  ],
  [has("7z\xbc\xaf'\x1c"), refused('it is a 7z archive; unpack it and use the image in it')],
  [
    has('ustar', 257),
    refused('it is a tar archive (an OVA is one); unpack it and use the disk image in it'),
  ],
  [isHTML, refused('it is a web page, not an image; the URL may need a login or have moved')],
  [isText, refused('it is text, not an image; check what the URL answers')],
  [
    ({ sizeBytes }) => sizeBytes % SECTOR !== 0,
    refused('it is no known image format, and as a raw disk its size is no multiple of 512 bytes'),
  ],
];

/** Never throws; what no rule knows is a raw disk. */
export function detect(sample: Sample): Detected {
  return RULES.find(([test]) => test(sample))?.[1] ?? image('raw');
}

function isHTML({ head }: Sample): boolean {
  return /^\s*(<!doctype html|<html|<\?xml)/i.test(
    head.toString('utf8', 0, 1024).replace(/^\uFEFF/, ''),
  );
}

/** No byte of the first KiB that text does not have. A disk's first sectors always have some. */
function isText({ head }: Sample): boolean {
  return head.subarray(0, 1024).every((byte) => byte >= 0x20 || (byte >= 9 && byte <= 13));
}
