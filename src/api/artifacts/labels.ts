// Labels (contract: artifacts 8): artifacts whose versions their owner chooses among the blobs that there are.
//
// L1  A label of another namespace may be changed by whom that namespace trusts, and by nobody else.
import { artifactRef, type ArtifactState } from '../../../actors/artifact/state.ts';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import { Type } from '../../../actors/kernel/schema.ts';
import type { ReadObject } from '../../read/collection.ts';
import { existingNamespace, isTrusted } from '../identity/access.ts';
import {
  finding,
  json,
  optional,
  route,
  type ApiRequest,
  type Finder,
  type ObjectRequest,
  type Route,
} from '../http/route.ts';
import { badRequest, change, notFound, type ApiServices } from '../services.ts';
import { instancesFor } from '../blobs/blob-users.ts';
import { addVersion } from './add-version.ts';
import { ArtifactView, artifactView } from './artifact-view.ts';
import { ensureArtifact, findArtifact } from './find.ts';

const MAX_VERSIONS = 3;
const BODY = {
  blob_uuid: Type.Optional(Type.Unknown()),
  max_versions: optional(Type.Integer({ minimum: 0 })),
};

/** Which label is meant; it need not be there. */
interface Label {
  readonly namespace: string;
  readonly name: string;
  /** As the address had it. */
  readonly given: string;
}

export function labelRoutes(services: ApiServices): Route[] {
  const named = finding('label', 'trusted', (request) => labelOf(services, request));
  const set = setter(services);
  const summary = 'Point a label at a blob: a new version of it';
  const answer = { json: ArtifactView };
  return [
    route('POST /label/:label_name', { summary, answer, object: named, body: BODY, handle: set }),
    route('POST /label/:label_namespace/:label_name', {
      summary,
      answer,
      object: named,
      body: BODY,
      handle: set,
    }),
    // As the Go client sends it.
    route('PUT /label/:label_name', { summary, answer, object: named, body: BODY, handle: set }),
    route('PUT /label/:label_namespace/:label_name', {
      summary,
      answer,
      object: named,
      body: BODY,
      handle: set,
    }),
    ...existingRoutes(services, named),
  ];
}

function existingRoutes(services: ApiServices, named: Finder<Label>): Route[] {
  const { read } = services;
  const object = finding('label', 'trusted', (request) => existing(services, named(request)));
  const remove = async ({ object: { id, state, revision }, trace }: Existing) => {
    await change(services, artifactRef(id), { kind: 'delete' }, trace);
    return json(artifactView(read, read.artifacts.get(id) ?? { id, state, revision }));
  };
  const show = (request: Existing) =>
    json(artifactView(read, request.object, instancesFor(services, request.caller)));
  const answer = { json: ArtifactView };
  const [shows, deletes] = ['One label', 'Delete a label; the blobs it pointed at may stay'];
  return [
    route('GET /label/:label_name', { summary: shows ?? '', answer, object, handle: show }),
    route('GET /label/:label_namespace/:label_name', {
      summary: shows ?? '',
      answer,
      object,
      handle: show,
    }),
    route('DELETE /label/:label_name', { summary: deletes ?? '', answer, object, handle: remove }),
    route('DELETE /label/:label_namespace/:label_name', {
      summary: deletes ?? '',
      answer,
      object,
      handle: remove,
    }),
  ];
}

type Existing = ObjectRequest<unknown, ReadObject<ArtifactState>>;

function labelOf(services: ApiServices, { params, caller }: ApiRequest<unknown>): Label {
  const { label_name: name = '', label_namespace: owner } = params;
  const namespace = owner ?? caller.namespace;
  existingNamespace(services, namespace);
  if (!isTrusted(services, caller, namespace)) throw notFound('namespace');
  return { namespace, name, given: owner === undefined ? name : `${owner}/${name}` };
}

export function labelUrl(namespace: string, name: string): string {
  return `sf://label/${namespace}/${name}`;
}

function existing(
  services: ApiServices,
  { namespace, name, given }: Label,
): ReadObject<ArtifactState> {
  const url = labelUrl(namespace, name);
  const found = findArtifact(services, { type: 'label', url, namespace });
  if (found !== undefined) return found;
  throw new TroupeError('api/not-found', `label ${given} not found`);
}

function setter(services: ApiServices) {
  return async ({
    object: { namespace, name, given },
    body: { blob_uuid: blobId, max_versions: asked },
    trace,
  }: ObjectRequest<{ blob_uuid?: unknown; max_versions?: number | null }, Label>) => {
    if (typeof blobId !== 'string' || blobId === '') throw badRequest('specify blob_uuid');
    if (services.read.blobs.get(blobId)?.state.phase !== 'created') throw notFound('blob');
    const maxVersions = asked || MAX_VERSIONS;
    const url = labelUrl(namespace, name);
    const label = { type: 'label', url, namespace, name: given, maxVersions } as const;
    const { id } = await ensureArtifact(services, label, trace);
    const addition = { blobId, source: null, node: null };
    return json(artifactView(services.read, await addVersion(services, id, addition, trace)));
  };
}
