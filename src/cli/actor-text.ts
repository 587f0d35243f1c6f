// What an actor is doing, in the words that people read (the API's shape: actors/kernel/inspection.ts).
import type { View } from '../client/client.ts';
import { dateTime, duration, timeOfDay } from './format.ts';
import { fields, isView, table, text, views, type Column } from './table.ts';

const NOT_RUNNING = 'not running: nothing to do';

/** `nowMs`: since the epoch. */
export function actorText(one: View, nowMs: number): string {
  const head = fields([
    ['object', text(one, 'address')],
    ['status', statusText(one)],
    ['doing', doing(one, nowMs)],
    ['since', since(one, nowMs)],
    ['waits for', waitsFor(one)],
    ['deadline', deadline(one, nowMs)],
    ['last error', errorText(one['lastError'], nowMs)],
    ['mailbox', 'mailboxDepth' in one ? `${text(one, 'mailboxDepth')} waiting` : undefined],
    ['next alarm', when(one['alarmAtMs'], nowMs)],
    ['reads again', when(one['retryAtMs'], nowMs)],
    ['restarts', one['restarts'] === 0 ? undefined : text(one, 'restarts')],
    ['revision', text(one, 'revision')],
    ['request', text(one, 'trace')],
  ]);
  const effects = views(one, 'effects');
  if (effects.length === 0) return head;
  return `${head}\n${table(effects, effectColumns(nowMs))}`;
}

function effectColumns(nowMs: number): readonly Column<View>[] {
  return [
    ['EFFECT', (effect) => `${text(effect, 'name')} ${text(effect, 'key')}`.trim()],
    ['PHASE', (effect) => text(effect, 'phase')],
    ['ATTEMPT', (effect) => text(effect, 'attempt')],
    ['STARTED', (effect) => when(effect['startedAtMs'], nowMs) ?? ''],
    ['NEXT TRY', (effect) => when(effect['nextAttemptAtMs'], nowMs) ?? ''],
    ['LAST ERROR', (effect) => errorText(effect['lastError'], nowMs) ?? ''],
  ];
}

function statusText(one: View): string {
  const exists = one['exists'] === false ? ' (nothing is stored under this address)' : '';
  return `${text(one, 'status')}${exists}`;
}

/** The message in hand, else the effects that run, else nothing. */
function doing(one: View, nowMs: number): string | undefined {
  if (text(one, 'status') === NOT_RUNNING) return undefined;
  const { turn } = one;
  if (isView(turn)) {
    return `takes the message ${text(turn, 'message')}, ${when(turn['sinceMs'], nowMs)}`;
  }
  const running = views(one, 'effects').filter(
    ({ phase }) => phase !== 'done' && phase !== 'failed',
  );
  if (running.length === 0) return isView(one['waitsFor']) ? 'waits' : 'nothing: it is at rest';
  return running.map((effect) => `${text(effect, 'name')} (${text(effect, 'phase')})`).join(', ');
}

function waitsFor(one: View): string | undefined {
  return isView(one['waitsFor']) ? text(one['waitsFor'], 'reason') : undefined;
}

function since(one: View, nowMs: number): string | undefined {
  const at = isView(one['waitsFor']) ? one['waitsFor']['sinceMs'] : one['activeSinceMs'];
  return when(at, nowMs);
}

function deadline(one: View, nowMs: number): string | undefined {
  if (!isView(one['waitsFor'])) return undefined;
  const { deadlineAtMs, cancel } = one['waitsFor'];
  if (typeof deadlineAtMs !== 'number') return 'none: it ends with what it waits for';
  const late = deadlineAtMs < nowMs ? ' PAST' : '';
  return `${when(deadlineAtMs, nowMs)}${late}; called off by ${String(cancel as string)}`;
}

function errorText(error: unknown, nowMs: number): string | undefined {
  if (!isView(error)) return undefined;
  return `${text(error, 'code')}: ${text(error, 'reason')}; ${when(error['atMs'], nowMs)}`;
}

/** `14:03:05 (2.1 s ago)`; with the date when that is not near. */
function when(atMs: unknown, nowMs: number): string | undefined {
  if (typeof atMs !== 'number') return undefined;
  const awayMs = Math.abs(nowMs - atMs);
  const clock = awayMs < 12 * 3_600_000 ? timeOfDay(atMs) : dateTime(atMs).slice(0, 19);
  return `${clock} (${atMs > nowMs ? `in ${duration(awayMs)}` : `${duration(awayMs)} ago`})`;
}
