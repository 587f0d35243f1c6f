// An image of one's own, from a file: sent in pieces as it is read, with its progress.
import { createReadStream } from 'node:fs';
import type { Artifact, Troupe } from '../index.ts';

export function uploadImage(
  troupe: Troupe,
  path: string,
  say: (text: string) => void,
): Promise<Artifact> {
  return troupe.artifacts.upload('my-image', createReadStream(path), {
    onProgress: (doneBytes) => say(`${doneBytes} bytes sent`),
  });
}
