// The MIME type of bytes that are no disk.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { mimeOf } from '../../../../src/drivers/image/mime.ts';

const test = suite('MIME types');
const CASES: readonly (readonly [head: string | Buffer, type: string])[] = [
  ['', 'application/octet-stream'],
  [Buffer.from([0, 1, 2, 3]), 'application/octet-stream'],
  [Buffer.from([0x80, 0x41]), 'application/octet-stream'],
  [Buffer.from('\x89PNG\r\n\x1a\nIHDR', 'latin1'), 'image/png'],
  ['P6\n640 480\n255\n', 'image/x-portable-pixmap'],
  ['PK\x03\x04rest', 'application/zip'],
  [Buffer.concat([Buffer.alloc(257), Buffer.from('ustar')]), 'application/x-tar'],
  ['\n <!DOCTYPE html><html>', 'text/html'],
  ['#!/bin/sh\necho\n', 'text/x-shellscript'],
  ['{"a": 1}', 'text/plain'],
  ['grün', 'text/plain'],
  [`${'a'.repeat(4_095)}ü`, 'text/plain'],
  ['a\0b', 'application/octet-stream'],
];

for (const [head, type] of CASES) {
  test(`${JSON.stringify(String(head).slice(0, 20))} is ${type}`, () => {
    assert.is(mimeOf({ head: Buffer.from(head) }), type);
  });
}

test.run();
