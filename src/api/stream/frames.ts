// Frames of the event stream: JSON texts. docs/stream.md is for who reads them.
//
//   hello    {frame, node, resume}     the subscription is taken in; `resume` is where it begins
//   items    {frame, resume, items}    events and gaps, oldest first; whole revisions only
//   live     {frame, resume}           what was there has been told; from here on it is news
//   mark     {frame, resume}           nothing of yours has happened up to here
//   end      {frame, code, reason}     the last frame before the socket is closed with this code
//
// F1  A frame holds whole revisions, so who remembers `resume` of the last frame it has worked off gets everything after
//     it exactly once.
// F2  A frame of items is at most MAX_FRAME_BYTES, unless one revision alone is more.
import type { Json } from '../../../actors/kernel/json.ts';
import type { HistoryItem } from '../../archive/history.ts';
import { eventView } from '../objects/events.ts';
import { resumeToken } from './resume.ts';

export const MAX_FRAME_BYTES = 256 * 1024;

/** An item and its text, made once for all who get it. */
export interface WrittenItem {
  readonly item: HistoryItem;
  /** The last revision that it is about. */
  readonly revision: number;
  readonly text: string;
}

/** A frame for who has all before it, and then has everything up to `through`. */
export interface Frame {
  readonly bytes: Buffer;
  readonly through: number;
}

export function written(item: HistoryItem): WrittenItem {
  const revision = item.what === 'gap' ? item.to : item.revision;
  return { item, revision, text: JSON.stringify(itemView(item)) };
}

function itemView(item: HistoryItem): Json {
  if (item.what === 'gap') {
    const { from, to, count, reason } = item;
    return { what: 'gap', from, to, count, reason };
  }
  const { revision, kind, id, namespace, event } = item;
  return { what: 'event', revision, kind, id, namespace, event: eventView(event) };
}

/** Frames of these items, which are all there is up to `through`; none for no items. */
export function itemFrames(items: readonly WrittenItem[], through: number): Frame[] {
  const frames: Frame[] = [];
  let texts: string[] = [];
  let sizeBytes = 0;
  for (const [index, { text, revision }] of items.entries()) {
    texts.push(text);
    sizeBytes += text.length;
    const next = items[index + 1];
    if (next === undefined) frames.push(itemFrame(texts, through));
    else if (sizeBytes > MAX_FRAME_BYTES / 2 && next.revision !== revision) {
      frames.push(itemFrame(texts, revision));
      [texts, sizeBytes] = [[], 0];
    }
  }
  return frames;
}

function itemFrame(texts: readonly string[], through: number): Frame {
  const text = `{"frame":"items","resume":"${resumeToken(through)}","items":[${texts.join(',')}]}`;
  return { bytes: Buffer.from(text), through };
}

export function helloFrame(node: string, revision: number): string {
  return JSON.stringify({ frame: 'hello', node, resume: resumeToken(revision) });
}

export function placeFrame(frame: 'live' | 'mark', revision: number): string {
  return JSON.stringify({ frame, resume: resumeToken(revision) });
}

export function endFrame(code: number, reason: string): string {
  return JSON.stringify({ frame: 'end', code, reason });
}
