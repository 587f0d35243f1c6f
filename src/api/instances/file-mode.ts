// Permissions of a file in a guest as clients send them: a number, its decimal digits, or symbolic as chmod takes them.
import { badRequest } from '../services.ts';

/** What a file's status holds: its kind, and its permissions. */
const MOST = 0o177_777;
const SYMBOLIC = /^[ugoa]*([-+=]([rwxXst]*|[ugo]))+(,[ugoa]*([-+=]([rwxXst]*|[ugo]))+)*$/;
const MAX_LENGTH = 64;

/** As sent. Error: 400 `invalid mode: ...`. */
export function fileMode(mode: number | string): number | string {
  const isDecimal = typeof mode === 'string' && /^\d{1,9}$/.test(mode);
  const number = isDecimal ? Number(mode) : mode;
  if (typeof number === 'number') {
    if (number >= 0 && number <= MOST) return number;
    throw badRequest(`invalid mode: ${number} is not between 0 and ${MOST}`);
  }
  if (number.length <= MAX_LENGTH && SYMBOLIC.test(number)) return number;
  const shown = JSON.stringify(number.slice(0, MAX_LENGTH));
  throw badRequest(`invalid mode: ${shown} is neither a number nor symbolic as "u+rx"`);
}
