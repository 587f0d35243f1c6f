// Versions of artifacts, and who else may see them (contract: artifacts 7.5, 7.6, 7.8).
import { artifactRef, type ArtifactState } from '../../../actors/artifact/state.ts';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import { Type } from '../../../actors/kernel/schema.ts';
import { SYSTEM } from '../../../actors/namespace/state.ts';
import type { ReadObject } from '../../read/collection.ts';
import { instancesFor } from '../blobs/blob-users.ts';
import { blobView, VersionView } from '../blobs/blob-view.ts';
import { json, NOTHING, route, type Answer, type Finder, type Route } from '../http/route.ts';
import { wholeNumber } from '../objects/whole-number.ts';
import { badRequest, change, type ApiServices } from '../services.ts';
import { ArtifactView, artifactView } from './artifact-view.ts';

const DEFAULT_MAX_VERSIONS = 3;
/** As of the setting image-copies. */
const MOST_COPIES = 16;

type Find = Finder<ReadObject<ArtifactState>>;

/** `read`: who may look at it; `write`: who may change it. */
export function versionRoutes(services: ApiServices, read: Find, write: Find): Route[] {
  return [
    route('GET /artifacts/:artifact_ref/versions', {
      summary: 'Versions of an artifact, oldest first',
      answer: { json: Type.Array(VersionView) },
      object: read,
      handle: ({ object: { state }, caller }) =>
        json(
          state.versions.flatMap(({ index, blobId }) => {
            const found = services.read.blobs.get(blobId);
            return found === undefined
              ? []
              : [
                  {
                    ...blobView(found, services.clock.nowMs(), instancesFor(services, caller)),
                    index,
                  },
                ];
          }),
        ),
    }),
    route('POST /artifacts/:artifact_ref/versions', {
      summary: 'Set how many versions are kept; older ones go at once',
      answer: NOTHING,
      object: write,
      body: { max_versions: Type.Optional(Type.Unknown()) },
      handle: async ({ object: { id }, body, trace }) => {
        const maxVersions = wholeNumber(body.max_versions ?? DEFAULT_MAX_VERSIONS);
        if (maxVersions === undefined) throw badRequest('max version is not an integer');
        if (maxVersions < 1) throw badRequest('an artifact keeps at least one version');
        await change(services, artifactRef(id), { kind: 'set-max-versions', maxVersions }, trace);
        return json(null);
      },
    }),
    copiesRoute(services, write),
    removeRoute(services, write),
    ...sharingRoutes(services, write),
  ];
}

/** Of this API, not of Shaken Fist's. */
function copiesRoute(services: ApiServices, write: Find): Route {
  return route('POST /artifacts/:artifact_ref/copies', {
    summary: 'Set how many nodes are to keep each version; null: as many as the cluster keeps',
    answer: NOTHING,
    object: write,
    body: { copies: Type.Optional(Type.Unknown()) },
    handle: async ({ object: { id }, body, trace }) => {
      const asked = body.copies ?? null;
      const minCopies = asked === null ? null : wholeNumber(asked);
      const isFit =
        minCopies === null || ((minCopies ?? 0) >= 1 && (minCopies ?? 0) <= MOST_COPIES);
      if (minCopies === undefined || !isFit) {
        throw badRequest(`copies is not a whole number from 1 to ${MOST_COPIES}, or null`);
      }
      await change(services, artifactRef(id), { kind: 'set-min-copies', minCopies }, trace);
      return json(null);
    },
  });
}

function removeRoute(services: ApiServices, write: Find): Route {
  return route('DELETE /artifacts/:artifact_ref/versions/:index', {
    summary: 'Remove a version; the last one takes the artifact along',
    answer: { json: ArtifactView },
    object: write,
    handle: async ({ object, params, trace }) => {
      const index = wholeNumber(params['index']);
      if (index === undefined) throw badRequest('version index is not an integer');
      const isThere = object.state.versions.some((version) => version.index === index);
      if (!isThere) throw new TroupeError('api/not-found', 'artifact index not found');
      await change(services, artifactRef(object.id), { kind: 'remove-version', index }, trace);
      return shown(services, object);
    },
  });
}

function sharingRoutes(services: ApiServices, write: Find): Route[] {
  const set = async (object: ReadObject<ArtifactState>, shared: boolean, trace: string) => {
    await change(services, artifactRef(object.id), { kind: 'set-shared', shared }, trace);
    return shown(services, object);
  };
  return [
    route('POST /artifacts/:artifact_ref/share', {
      summary: 'Let every namespace use an artifact of the system namespace',
      answer: { json: ArtifactView },
      object: write,
      handle: ({ object, trace }) => {
        if (object.state.namespace === SYSTEM) return set(object, true, trace);
        const message = 'only artifacts in the system namespace can be shared';
        throw new TroupeError('api/forbidden', message);
      },
    }),
    route('POST /artifacts/:artifact_ref/unshare', {
      summary: 'Let only its own namespace, and who that trusts, use an artifact',
      answer: { json: ArtifactView },
      object: write,
      handle: ({ object, trace }) => {
        if (object.state.shared) return set(object, false, trace);
        throw new TroupeError('api/forbidden', 'artifact not shared');
      },
    }),
  ];
}

function shown({ read }: ApiServices, before: ReadObject<ArtifactState>): Answer {
  return json(artifactView(read, read.artifacts.get(before.id) ?? before));
}
