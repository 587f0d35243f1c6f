// Events of an object, in the words that people read.
import { ApiError } from '../client/api-error.ts';
import type { Client, View } from '../client/client.ts';
import type { Call } from './command.ts';
import { dateTime, duration, size } from './format.ts';
import { jsonText } from './screen-text.ts';
import { isView, table, text, textOf, type Column } from './table.ts';

const MAX_EXTRA = 100;
/** Enough to find why something failed under what was recorded while it was cleaned up. */
const REASON_DEPTH = 50;

export const EVENT_COLUMNS: readonly Column<View>[] = [
  ['TIME', (event) => dateTime(Number(event['timestamp']) * 1000)],
  ['TYPE', (event) => text(event, 'type'), 9],
  ['NODE', (event) => text(event, 'fqdn')],
  ['DURATION', (event) => durationText(event['duration']), 10],
  ['MESSAGE', (event) => text(event, 'message'), 28],
  ['EXTRA', (event) => extraText(event['extra'])],
];

/** Some more of them, oldest first: with --json one a line, the head of the table once. */
export function showMore(call: Call, events: readonly View[], isFirst: boolean): void {
  if (call.flags.is('json')) {
    for (const event of events) call.print(`${jsonText(event, 0)}\n`);
    return;
  }
  if (events.length === 0) return;
  const lines = table(events, EVENT_COLUMNS);
  call.print(isFirst ? lines : lines.slice(lines.indexOf('\n') + 1));
}

/** What an event says, with its details in short. */
export function eventText(event: View): string {
  const details = extraText(event['extra']);
  return details === '' ? text(event, 'message') : `${text(event, 'message')} (${details})`;
}

/** What was recorded last of an object; empty when nothing was. */
export async function latestEvent(client: Client, path: string): Promise<string> {
  const [latest] = await client.list(`${path}/events`, { limit: 1 });
  return latest === undefined ? '' : eventText(latest);
}

export interface FailureReason {
  readonly reason: string;
  /** Of the request that led to it. */
  readonly requestId: string | undefined;
}

/** Why an object is in error: as its view says, else its newest event that gives a reason. */
export async function failureReason(
  client: Client,
  path: string,
  view: View,
): Promise<FailureReason> {
  const events = await client.list(`${path}/events`, { limit: REASON_DEPTH }).catch(noEvents);
  const telling = events.find((event) => textOf(extraOf(event)['reason']) !== '') ?? events[0];
  const requestId = telling === undefined ? '' : textOf(extraOf(telling)['request-id']);
  const reason =
    text(view, 'error_message') ||
    (telling === undefined ? '' : textOf(extraOf(telling)['reason']) || text(telling, 'message')) ||
    'no reason is recorded';
  return { reason, requestId: requestId || undefined };
}

/** The reason is also in the view: without events, the failure is still told. */
function noEvents(error: unknown): readonly View[] {
  if (error instanceof ApiError) return [];
  throw error;
}

function extraOf(event: View): View {
  return isView(event['extra']) ? event['extra'] : {};
}

/** Seconds; 0 stands for an event that times nothing. */
function durationText(seconds: unknown): string {
  return typeof seconds === 'number' && seconds > 0 ? duration(seconds * 1000) : '';
}

/** `40 % of 2.1 GiB, 30.0 MiB/s, 45.0 s left`, as far as it is known. */
function progressText(percent: unknown, measures: View): string {
  const { bytes, total_bytes: total, bytes_per_second: rate, seconds_left: left } = measures;
  const whole = typeof total === 'number' ? ` of ${size(total)}` : '';
  const part = typeof percent === 'number' ? `${percent} %${whole}` : '';
  const parts = [
    part === '' && typeof bytes === 'number' ? size(bytes) : part,
    typeof rate === 'number' ? `${size(rate)}/s` : '',
    typeof left === 'number' ? `${duration(left * 1000)} left` : '',
  ];
  return parts.filter((one) => one !== '').join(', ');
}

/** `key=value` pairs on one short line; which request it was is left to --json. */
function extraText(extra: unknown): string {
  if (!isView(extra)) return textOf(extra);
  const { step, percent, bytes, total_bytes, bytes_per_second, seconds_left, ...others } = extra;
  const measures = { bytes, total_bytes, bytes_per_second, seconds_left };
  const progress = [textOf(step), progressText(percent, measures)];
  const pairs = Object.entries(others)
    .filter(([key, value]) => key !== 'request-id' && textOf(value) !== '')
    .map(([key, value]) => `${key}=${textOf(value)}`);
  const all = [progress.filter((part) => part !== '').join(' '), ...pairs];
  const line = all.filter((part) => part !== '').join(' ');
  return line.length > MAX_EXTRA ? `${line.slice(0, MAX_EXTRA - 1)}…` : line;
}
