// The kernel's small pure parts.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { backoffMs } from '../../../actors/kernel/backoff.ts';
import { plainEqual } from '../../../actors/kernel/equal.ts';
import { codeOf, isErrorCode, reasonOf, TroupeError } from '../../../actors/kernel/errors.ts';
import { formatAddress, parseAddress } from '../../../actors/kernel/kind.ts';
import { jsonLog, textLog, withFields } from '../../../actors/kernel/log.ts';
import { Mailbox } from '../../../actors/kernel/mailbox.ts';
import { Restarts } from '../../../actors/kernel/restarts.ts';
import { ulidFactory } from '../../../actors/kernel/ulid.ts';
import { ManualClock, seededRandom } from '../../support/kernel.ts';

const test = suite('kernel values');

test('plain data is compared by value, and an undefined field is an absent one', () => {
  const equal: readonly (readonly [unknown, unknown])[] = [
    [1, 1],
    [Number.NaN, Number.NaN],
    [null, null],
    [{ a: [1, { b: 'x' }] }, { a: [1, { b: 'x' }] }],
    [{ a: 1, b: undefined }, { a: 1 }],
    [{ a: 1 }, { a: 1, b: undefined }],
    [
      { a: 1, b: 2 },
      { b: 2, a: 1 },
    ],
    [[], []],
  ];
  const different: readonly (readonly [unknown, unknown])[] = [
    [1, '1'],
    [0, null],
    [{}, []],
    [{}, null],
    [[1], [1, 2]],
    [[undefined], []],
    [{ a: 1 }, { a: 1, b: null }],
    [{ a: 1 }, { b: 1 }],
    [new Date(1), new Date(1)],
    [new Map(), new Map()],
    [{ a: { b: 1 } }, { a: { b: 2 } }],
  ];
  for (const [left, right] of equal) assert.ok(plainEqual(left, right), JSON.stringify(left));
  for (const [left, right] of different)
    assert.not(plainEqual(left, right), `${JSON.stringify(left)} ${JSON.stringify(right)}`);
});

test('pauses double up to the maximum, spread over their upper half', () => {
  const range = { backoffMs: 100, maxBackoffMs: 1_000 };
  const longest = [1, 2, 3, 4, 5, 100].map((failures) => backoffMs(range, failures, 1));
  assert.equal(longest, [100, 200, 400, 800, 1_000, 1_000]);
  assert.is(backoffMs(range, 1, 0), 50);
  assert.is(backoffMs(range, 0, 0.5), 75);
});

test('event ids sort by time, and in the order made within one millisecond and after a clock set back', () => {
  const ulid = ulidFactory(seededRandom(1));
  const ids: string[] = [];
  for (const nowMs of [5, 5, 5, 6, 2, 2, 7, 1_700_000_000_000]) ids.push(ulid(nowMs));
  for (let more = 0; more < 5_000; more++) ids.push(ulid(1_700_000_000_001));
  assert.equal(ids, ids.toSorted());
  assert.is(new Set(ids).size, ids.length);
  for (const id of ids) assert.match(id, /^[0-9A-HJKMNP-TV-Z]{26}$/);
  // The time part, as the ULID specification gives it for this time.
  assert.is(ulidFactory(seededRandom(1))(1_469_918_176_385).slice(0, 10), '01ARYZ6S41');
});

test('a mailbox keeps order through any number of entries', () => {
  const mailbox = new Mailbox<number>(10, [0, 1]);
  let taken = 0;
  for (let entry = 2; entry < 5_000; entry++) {
    mailbox.push(entry);
    if (entry % 3 > 0) assert.is(mailbox.shift(), taken++);
  }
  assert.ok(mailbox.isFull);
  assert.is(mailbox.size, 5_000 - taken);
  assert.is(mailbox.takeAll()[0], taken);
  assert.is(mailbox.shift(), undefined);
  assert.is(mailbox.size, 0);
});

test('restarts are counted within their window', () => {
  const restarts = new Restarts(1_000);
  restarts.add(0);
  restarts.add(500);
  assert.equal(
    [999, 1_000, 1_499, 1_500].map((nowMono) => restarts.count(nowMono)),
    [2, 1, 1, 0],
  );
});

test('addresses keep the slashes of their id, and need both halves', () => {
  const executor = { kind: 'executor', id: 'n1/domain/x' };
  assert.equal(parseAddress(formatAddress(executor)), executor);
  assert.equal(
    ['job', 'job/', '/a', ''].map((text) => parseAddress(text)),
    [undefined, undefined, undefined, undefined],
  );
});

test('a log line is one JSON object, with what is bound, the error and its cause', () => {
  const lines: string[] = [];
  const clock = new ManualClock();
  const base = jsonLog({ clock, sink: (line) => lines.push(line), fields: { node: 'n1' } });
  const log = withFields(base, { trace: 't1' });
  const cause = new TypeError('socket closed');
  const error = new TroupeError('store/unavailable', 'no answer', { timeoutMs: 5 }, cause);
  log('debug', 'left out');
  log('warn', 'a turn\nfailed', { kind: 'job', error, at: 5n });
  const circular: Record<string, unknown> = {};
  circular['self'] = circular;
  log('error', 'circular', { circular });
  assert.is(lines.length, 2);
  const [line, unloggable] = lines.map((text) => JSON.parse(text) as Record<string, unknown>);
  assert.is(line?.['time'], '1970-01-01T00:16:40.000Z');
  assert.is(line?.['message'], 'a turn\nfailed');
  assert.equal([line?.['node'], line?.['trace'], line?.['at']], ['n1', 't1', '5']);
  const logged = line?.['error'] as { readonly code: string; readonly cause: { message: string } };
  assert.is(logged.code, 'store/unavailable');
  assert.is(logged.cause.message, 'socket closed');
  assert.match(String(unloggable?.['message']), /unloggable: .*circular/i);
});

test('in a log for people a value cannot look like another field, or another line', () => {
  const lines: string[] = [];
  const log = textLog({ clock: new ManualClock(), sink: (line) => lines.push(line) });
  log('debug', 'left out');
  log('warn', 'request', { status: 200, path: '/a b\nlevel=error', trace: 't-1', none: undefined });
  assert.equal(lines, [
    String.raw`1970-01-01T00:16:40.000Z WARN  request status=200 path="/a b\nlevel=error" trace=t-1`,
  ]);
});

test('whatever is thrown has a code and a reason', () => {
  assert.is(codeOf(new TroupeError('host/locked', 'x')), 'host/locked');
  assert.is(codeOf('text'), 'actor/crashed');
  assert.is(reasonOf('text'), 'text');
  assert.is(new TroupeError('host/locked', 'x').retry, 'backoff');
  assert.ok(isErrorCode('host/locked'));
  assert.not(isErrorCode('toString'));
  assert.not(isErrorCode(7));
});

test.run();
