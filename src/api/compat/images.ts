// Images as they were before there were artifacts (contract: clients 8): cached by their URL, and listed.
import type { ArtifactState } from '../../../actors/artifact/state.ts';
import type { Json, JsonObject } from '../../../actors/kernel/json.ts';
import { closed, nullable, Type } from '../../../actors/kernel/schema.ts';
import { shapeOf } from '../http/capabilities.ts';
import { json, optional, route, type ApiRequest, type Route } from '../http/route.ts';
import { notFound, type ApiServices } from '../services.ts';

const ImageView = closed({
  url: Type.String(),
  /** The artifact's UUID. */
  ref: Type.String(),
  /** Of the newest version. */
  file_version: Type.Integer(),
  /** SHA-256 of what was downloaded. */
  checksum: nullable(Type.String()),
  /** Bytes, as text. */
  size: nullable(Type.String()),
  /** As the source says. */
  modified: nullable(Type.String()),
  /** When the bytes were there, as servers write dates. */
  fetched: nullable(Type.String()),
  node: nullable(Type.String()),
});

export function imageRoutes(services: ApiServices, routes: readonly Route[]): Route[] {
  const [list, cache] = [row(routes, 'GET /artifacts'), row(routes, 'POST /artifacts')];
  return [
    // Who may see which is the artifacts' rule.
    route('GET /images', {
      summary: 'Images that the caller may read',
      answer: { json: Type.Array(ImageView) },
      rule: list.rule,
      body: { node: optional(Type.String()) },
      handle: async (request) => {
        const answer = await list.run(request as ApiRequest<unknown>);
        const views = answer.kind === 'json' ? (answer.value as readonly JsonObject[]) : [];
        const images = views.filter((view) => view['artifact_type'] === 'image');
        return json(images.map((view) => imageView(services, view)));
      },
    }),
    route('POST /images', {
      summary: 'Cache an image from a URL',
      answer: cache.answer,
      errors: cache.errors,
      rule: cache.rule,
      body: cache.body,
      handle: (request) => cache.run(request as ApiRequest<unknown>),
    }),
  ];
}

function row(routes: readonly Route[], at: string): Route {
  const found = routes.find(({ method, path }) => shapeOf(`${method} ${path}`) === at);
  if (found === undefined) throw notFound(`route ${at}`);
  return found;
}

function imageView({ read }: ApiServices, { uuid, source_url: url, index }: JsonObject): Json {
  const id = typeof uuid === 'string' ? uuid : '';
  const state: ArtifactState | undefined = read.artifacts.get(id)?.state;
  const blob = read.blobs.get(state?.versions.at(-1)?.blobId ?? '')?.state;
  const holders = Object.entries(blob?.replicas ?? {}).filter(
    ([, one]) => one.phase === 'verified',
  );
  return {
    url,
    ref: id,
    file_version: index,
    checksum: blob?.content?.sourceSha256 ?? null,
    size: blob?.content ? String(blob.content.sourceSizeBytes) : null,
    modified: blob?.content?.lastModified ?? null,
    fetched: blob?.content ? new Date(blob.sinceMs).toUTCString() : null,
    node: holders[0]?.[0] ?? null,
  };
}
