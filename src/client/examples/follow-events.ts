// Follows what happens to an instance from its first event on until it is as wanted, whatever node tells of it meanwhile.
import { filter, firstValueFrom, map, takeWhile, toArray } from 'rxjs';
import type { Instance, StreamEvent, StreamItem } from '../index.ts';

/** Resolves to what happened up to this message, oldest first. */
export function messagesUntil(instance: Instance, last: string): Promise<readonly string[]> {
  const isEvent = (item: StreamItem): item is StreamEvent => item.what === 'event';
  return firstValueFrom(
    instance.events({ after: 0 }).pipe(
      filter(isEvent),
      map(({ event }) => event.message),
      takeWhile((message) => message !== last, true),
      toArray(),
    ),
  );
}
