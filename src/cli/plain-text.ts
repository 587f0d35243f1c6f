// Console output for files and pipes: a stream of bytes without the sequences that steer a terminal.
import { StringDecoder } from 'node:string_decoder';
import { stripVTControlCharacters } from 'node:util';

const ESCAPE = String.fromCharCode(0x1b);
const BELL = String.fromCharCode(0x07);
/** Control characters but for line feed and tab. */
const CONTROL = /(?![\n\t])\p{Cc}/gu;
/** The start of a sequence whose end may be in the next chunk. */
const UNFINISHED = new RegExp(`${ESCAPE}([ -/]*|\\[[0-?]*[ -/]*|\\][^${BELL}${ESCAPE}]*)$`);
/** A sequence longer than this is none. */
const MAX_UNFINISHED = 256;

export class PlainText {
  readonly #decoder = new StringDecoder('utf8');
  #unfinished = '';

  /** The printable part of what has come so far; characters and sequences may be cut between chunks. */
  add(chunk: Buffer): string {
    const text = this.#unfinished + this.#decoder.write(chunk);
    const tail = UNFINISHED.exec(text)?.[0] ?? '';
    this.#unfinished = tail.length > MAX_UNFINISHED ? '' : tail;
    const whole = text.slice(0, text.length - this.#unfinished.length);
    return stripVTControlCharacters(whole).replaceAll(CONTROL, '');
  }
}
