// Which statuses besides 200 a route can answer, as far as that follows from what it is (contract: conventions 5.2). What
// only its handler knows of (no room, a bad gateway) its row says itself.
import type { TProperties } from '../../../actors/kernel/schema.ts';
import type { Access, Method } from './route.ts';

interface Shape {
  readonly method: Method;
  readonly path: string;
  readonly access: Access;
  readonly body: TProperties;
}

/** A body that is not understood or too large, a daemon that is behind or ending: whatever is asked. */
const ALWAYS = [400, 413, 503];
/** A state that does not allow it, yet or at all; a caller who may see, and not do it. */
const OF_CHANGES = [403, 406, 409];

export function usualErrors({ method, path, access, body }: Shape): number[] {
  const names = path.includes('/:') || 'namespace' in body;
  // A part of an object may not be there yet.
  const isPart = /\/:\w+\//.test(path);
  return [
    ...ALWAYS,
    ...(access === 'public' ? [] : [401]),
    ...(names ? [404] : []),
    ...(method === 'GET' ? [] : OF_CHANGES),
    ...(method === 'GET' && isPart ? [406] : []),
  ];
}
