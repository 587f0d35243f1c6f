// Giving an artifact a new version, and waiting until it has it.
import { artifactRef, type Addition, type ArtifactState } from '../../../actors/artifact/state.ts';
import { isErrorCode, TroupeError } from '../../../actors/kernel/errors.ts';
import type { ReadObject } from '../../read/collection.ts';
import { change, type ApiServices } from '../services.ts';

/** Longer than it takes to hash what a client had the patience to send. */
const ADDED_MS = 600_000;

/** The artifact with the version. Errors: what made it fail. */
export async function addVersion(
  services: ApiServices,
  artifactId: string,
  addition: Addition,
  trace: string,
): Promise<ReadObject<ArtifactState>> {
  const { read } = services;
  const { blobId } = addition;
  await change(services, artifactRef(artifactId), { kind: 'add-version', addition }, trace);
  const isDecided = ({ adding, phase }: ArtifactState) =>
    phase === 'deleted' || !adding.some((one) => one.blobId === blobId);
  const made = await read.when(read.artifacts, artifactId, isDecided, ADDED_MS);
  if (made.state.versions.some((version) => version.blobId === blobId)) {
    // The blob's own view, which the answer shows, may come a moment later.
    await read.when(read.blobs, blobId, ({ content }) => content !== null, ADDED_MS);
    return made;
  }
  const { addFailure, phase } = made.state;
  // The same content as the newest version: nothing was added (contract: artifacts 7.6).
  if (addFailure === null && phase === 'created') return made;
  const code = isErrorCode(addFailure?.code) ? addFailure.code : 'api/conflict';
  throw new TroupeError(code, addFailure?.reason ?? 'the artifact was deleted meanwhile');
}
