import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { detect, type Detected } from '../../../../src/drivers/image/image-format.ts';

const test = suite('image format');

function of(head: Buffer | string, tail: Buffer | string = '', sizeBytes = 2 ** 20): Detected {
  const bytes = (part: Buffer | string) =>
    typeof part === 'string' ? Buffer.from(part, 'latin1') : part;
  const padded = Buffer.concat([bytes(head), Buffer.alloc(65_536)]).subarray(0, 65_536);
  return detect({ head: padded, tail: bytes(tail), sizeBytes });
}

function at(offset: number, text: string, first = ''): Buffer {
  const bytes = Buffer.alloc(65_536);
  bytes.write(first, 0, 'latin1');
  bytes.write(text, offset, 'latin1');
  return bytes;
}

const shown = (found: Detected) =>
  found.kind === 'image' ? found.format : found.kind === 'packed' ? found.packing : found.reason;

const KNOWN: readonly (readonly [what: string, sample: Detected, expected: string])[] = [
  ['qcow2 version 2', of('QFI\xfb\0\0\0\x02'), 'qcow2'],
  ['qcow2 version 3', of('QFI\xfb\0\0\0\x03'), 'qcow2'],
  ['VMDK', of('KDMV\x01'), 'vmdk'],
  ['VHDX', of('vhdxfile'), 'vhdx'],
  ['growing VHD', of('conectix'), 'vpc'],
  ['fixed VHD: a raw disk with a footer', of('\xeb\x63', 'conectix'), 'vpc'],
  ['ISO', of(at(32_769, 'CD001')), 'iso'],
  ['ISO with a boot sector for USB sticks', of(at(32_769, 'CD001', '\x33\xed')), 'iso'],
  ['gzip', of('\x1f\x8b\x08'), 'gzip'],
  ['xz', of('\xfd7zXZ\0'), 'xz'],
  ['zstd', of('\x28\xb5\x2f\xfd'), 'zstd'],
  ['bzip2', of('BZh91AY'), 'bzip2'],
  ['an empty disk', of(''), 'raw'],
  ['a disk with a boot sector', of('\xeb\x63\x90'), 'raw'],
];
for (const [what, found, expected] of KNOWN) {
  test(`${what} is ${expected}`, () => assert.is(shown(found), expected));
}

const REFUSED: readonly (readonly [what: string, sample: Detected, words: RegExp])[] = [
  ['qcow version 1', of('QFI\xfb\0\0\0\x01'), /qcow version 1/],
  ['VMDK version 3', of('COWD'), /VMDK version 3/],
  ['Parallels', of('WithoutFreeSpace'), /Parallels/],
  ['DMG', of('\0\0', 'koly'), /DMG/],
  ['LUKS', of('LUKS\xba\xbe'), /encrypted/],
  ['7z', of("7z\xbc\xaf'\x1c"), /7z archive/],
  ['tar', of(at(257, 'ustar')), /tar archive/],
  ['HTML behind a byte order mark', of('\xef\xbb\xbf<html>'), /web page/],
  ['text', of('no such image\n'.repeat(200)), /text/],
  ['an odd size', of('\xeb', '', 1000), /multiple of 512/],
  ['nothing', detect({ head: Buffer.alloc(0), tail: Buffer.alloc(0), sizeBytes: 0 }), /empty/],
];
for (const [what, found, words] of REFUSED) {
  test(`${what} is refused by name`, () => {
    assert.is(found.kind, 'refused');
    assert.match(shown(found), words);
  });
}

test('any short head is judged without reading past its end', () => {
  const magics = ['QFI\xfb', 'KDMV', 'conectix', 'LUKS', '\x1f', 'x'];
  for (const magic of magics) {
    for (let length = 0; length <= magic.length; length++) {
      const head = Buffer.from(magic.slice(0, length), 'latin1');
      assert.ok(detect({ head, tail: head, sizeBytes: length }).kind.length > 0);
    }
  }
});

test.run();
