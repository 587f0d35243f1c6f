// Images that are named rather than fetched: `label:NAME` and `sf://...`, as disks and NVRAM templates start from them
// (contract: artifacts 5.2). Always the newest version.
//
// M1  Who asks may use what is shared, its own, and what belongs to a namespace that trusts it; for anybody else it
//     reads like an image that is not there.
import type { ArtifactState } from '../../../actors/artifact/state.ts';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import type { ReadObject } from '../../read/collection.ts';
import type { Caller } from '../http/route.ts';
import { isUuid } from '../objects/reference.ts';
import { notFound, type ApiServices } from '../services.ts';
import { findArtifact, mayUse } from './find.ts';
import { labelUrl } from './labels.ts';

const BLOB = 'sf://blob/';
const SNAPSHOT = 'sf://snapshot/';
const LABEL = 'label:';
/** By how a source URL begins: which type of artifact has it. */
const TYPES: readonly (readonly [begin: string, type: ArtifactState['type']])[] = [
  ['sf://upload/', 'image'],
  ['sf://label/', 'label'],
  ['sf://instance/', 'snapshot'],
];

export interface NamingContext {
  readonly services: ApiServices;
  readonly caller: Caller;
  /** That is to use it: its own one is preferred where several are meant. */
  readonly namespace: string;
}

/** The blob that the text names; null: it is no such name but an address. Errors: 404, 400 when several may be meant. */
export function namedBlob(context: NamingContext, text: string): string | null {
  if (text.startsWith(BLOB)) {
    const blobId = text.slice(BLOB.length);
    if (isUuid(blobId)) return blobId;
    throw notFound('blob');
  }
  const { services, caller } = context;
  if (text.startsWith(LABEL)) {
    const name = text.slice(LABEL.length);
    const url = labelUrl(caller.namespace, name);
    return newestBlob(byUrl(context, 'label', url), `label ${name}`);
  }
  if (text.startsWith(SNAPSHOT)) {
    const found = services.read.artifacts.get(text.slice(SNAPSHOT.length));
    const isForCaller = found !== undefined && mayUse(services, caller.namespace, found.state);
    return newestBlob(isForCaller ? found : undefined, 'snapshot');
  }
  const [, type] = TYPES.find(([begin]) => text.startsWith(begin)) ?? [];
  if (type !== undefined) return newestBlob(byUrl(context, type, text), 'artifact');
  if (text.startsWith('sf://')) throw notFound('artifact');
  return null;
}

function byUrl(
  { services, caller, namespace }: NamingContext,
  type: ArtifactState['type'],
  url: string,
): ReadObject<ArtifactState> | undefined {
  return findArtifact(services, { type, url, namespace: caller.namespace, preferred: namespace });
}

function newestBlob(found: ReadObject<ArtifactState> | undefined, what: string): string {
  if (found === undefined) throw notFound('artifact');
  const { phase, versions } = found.state;
  if (phase !== 'created') {
    const shown = phase === 'delete-wait' ? 'deleted' : phase;
    throw new TroupeError('api/not-found', `artifact not ready (state=${shown})`);
  }
  const newest = versions.at(-1);
  if (newest !== undefined) return newest.blobId;
  throw new TroupeError('api/not-found', `Could not resolve ${what} to a blob`);
}
