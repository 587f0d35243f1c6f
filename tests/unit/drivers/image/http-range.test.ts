import { throws } from 'node:assert/strict';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { judgeAnswer, type Held } from '../../../../src/drivers/image/http-range.ts';

const test = suite('http range');
const url = new URL('http://host/image?token=hidden');
const date = 'Sun, 06 Nov 1994 08:49:37 GMT';
const held: Held = {
  offset: 100,
  validators: { etag: '"v1"', lastModified: date, totalBytes: 1000 },
};
const range = (text: string, more: Record<string, string> = { etag: '"v1"' }) =>
  judgeAnswer(206, { 'content-range': text, ...more }, held, url).kind;

test('200 starts over with what it announces', () => {
  const headers = { etag: '"v2"', 'content-length': '7', 'last-modified': date };
  assert.equal(judgeAnswer(200, headers, held, url), {
    kind: 'restart',
    validators: { etag: '"v2"', lastModified: date, totalBytes: 7 },
  });
  assert.equal(judgeAnswer(200, {}, held, url), {
    kind: 'restart',
    validators: { etag: null, lastModified: null, totalBytes: null },
  });
});

test('206 continues only at our place, of the same size and the same version', () => {
  assert.is(range('bytes 100-999/1000'), 'continue');
  assert.is(range('bytes 100-999/1000', {}), 'out-of-step', 'the etag is gone');
  assert.is(range('bytes 0-999/1000'), 'out-of-step');
  assert.is(range('bytes 100-1000/1001'), 'out-of-step');
  assert.is(range('bytes 100-999/*'), 'out-of-step');
  assert.is(range('bytes 100-999/1000', { etag: '"v2"' }), 'out-of-step');
  assert.is(range('items 100-999/1000'), 'out-of-step');
  assert.is(judgeAnswer(206, {}, held, url).kind, 'out-of-step');
});

test('without etags the date has to be the same', () => {
  const dated: Held = { offset: 100, validators: { ...held.validators, etag: null } };
  const judge = (headers: Record<string, string>) =>
    judgeAnswer(206, { 'content-range': 'bytes 100-999/1000', ...headers }, dated, url).kind;
  assert.is(judge({ 'last-modified': date }), 'continue');
  assert.is(judge({}), 'continue');
  assert.is(judge({ 'last-modified': 'Mon, 07 Nov 1994 08:49:37 GMT' }), 'out-of-step');
});

test('416 asks to forget our part', () => {
  assert.is(judgeAnswer(416, { 'content-range': 'bytes */10' }, held, url).kind, 'out-of-step');
});

test('what may pass is asked again, what may not is final, and no secret is shown', () => {
  for (const status of [408, 425, 429, 500, 502, 503, 504]) {
    throws(() => judgeAnswer(status, {}, held, url), { code: 'image/unreachable' });
  }
  for (const status of [204, 304, 400, 401, 403, 404, 410, 451]) {
    throws(() => judgeAnswer(status, {}, held, url), {
      code: 'image/bad-url',
      message: /host\/image\?…/,
    });
  }
});

test.run();
