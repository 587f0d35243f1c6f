// The body of a request: JSON whatever its content type says, also on GET and DELETE (contract: conventions 3).
//
// B1  No more than MAX_BODY_BYTES are kept; what comes after is dropped while it comes, so that the client gets to
//     read its 413 on a connection that still works.
// B2  What parses is plain data that the store can keep as it is: not deeper than MAX_DEPTH, numbers finite, text
//     well-formed, no member that a decoder would take for a prototype.
import type { IncomingMessage } from 'node:http';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import { badRequest } from '../services.ts';

const MAX_BODY_BYTES = 4 * 1024 * 1024;
/** A client that goes on sending after its 413 is cut off here. */
const MAX_DROPPED_BYTES = 64 * 1024 * 1024;
/** Half of what the store takes: a state holds what was sent a few levels down. */
const MAX_DEPTH = 32;

const NOTHING = Buffer.alloc(0);

/** All of the body. Errors: 413; 400 when the client breaks off. */
export function readBody(request: IncomingMessage): Promise<Buffer> {
  const { headers } = request;
  const isEmpty =
    headers['transfer-encoding'] === undefined && !(Number(headers['content-length']) > 0);
  if (isEmpty) return Promise.resolve(NOTHING);
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let sizeBytes = 0;
    request.on('data', (chunk: Buffer) => {
      sizeBytes += chunk.length;
      if (sizeBytes <= MAX_BODY_BYTES) return void chunks.push(chunk);
      chunks.length = 0;
      reject(
        new TroupeError('api/too-large', `a request body has at most ${MAX_BODY_BYTES} bytes`),
      );
      if (sizeBytes > MAX_DROPPED_BYTES) request.destroy();
    });
    request.on('end', () => resolve(Buffer.concat(chunks)));
    request.on('error', () => reject(badRequest('the request broke off')));
  });
}

/** The parameters in a body; nothing, and what is no JSON, means none. Error: 400. */
export function parseBody(bytes: Buffer): object {
  if (bytes.byteLength === 0) return {};
  const value = parsed(bytes);
  if (value === null || value === '' || (Array.isArray(value) && value.length === 0)) return {};
  if (typeof value !== 'object' || Array.isArray(value)) {
    throw badRequest('the request body should be a JSON object');
  }
  checkPlain(value);
  return value;
}

function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString()) as unknown;
  } catch {
    // Contract: unparsable JSON means no parameters.
    return null;
  }
}

/** Level by level, not by recursion: the depth is the client's choice. */
function checkPlain(body: object): void {
  let level: unknown[] = [body];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_DEPTH)
      throw badRequest(`the request body nests deeper than ${MAX_DEPTH} levels`);
    const below: unknown[] = [];
    for (const value of level) {
      if (typeof value === 'object' && value !== null) pushMembers(value, below);
      else checkScalar(value);
    }
    level = below;
  }
}

function pushMembers(value: object, below: unknown[]): void {
  const isArray = Array.isArray(value);
  for (const [key, member] of Object.entries(value)) {
    if (!isArray) checkKey(key);
    below.push(member);
  }
}

function checkKey(key: string): void {
  if (key === '__proto__') throw badRequest('__proto__ is no name for a member');
  checkScalar(key);
}

function checkScalar(value: unknown): void {
  if (typeof value === 'string' && !value.isWellFormed()) {
    throw badRequest('text in the request body should be Unicode without unpaired surrogates');
  }
  if (typeof value === 'number' && !Number.isFinite(value)) {
    throw badRequest('a number in the request body is too large');
  }
}
