// All routes of the API.
import { artifactRoutes } from './artifacts/artifacts.ts';
import { ImageCache } from './artifacts/image-cache.ts';
import { instanceRoutes } from './instances/instances.ts';
import { interfaceRoutes } from './instances/interfaces.ts';
import { loginRoutes } from './identity/login.ts';
import { metadataRoutes } from './objects/metadata-routes.ts';
import { namespaceRoutes } from './identity/namespaces.ts';
import { networkRoutes } from './networks/networks.ts';
import { nodeRoutes } from './nodes/nodes.ts';
import { operationRoutes } from './nodes/operations.ts';
import { rootRoutes } from './http/root.ts';
import { streamRoutes } from './stream/routes.ts';
import type { Route } from './http/route.ts';
import type { ApiServices } from './services.ts';

export function apiRoutes(services: ApiServices): Route[] {
  const images = new ImageCache(services);
  return [
    ...rootRoutes(services),
    ...loginRoutes(services),
    ...namespaceRoutes(services),
    ...instanceRoutes(services, images),
    ...networkRoutes(services),
    ...interfaceRoutes(services),
    ...artifactRoutes(services, images),
    ...nodeRoutes(services),
    ...metadataRoutes(services),
    ...operationRoutes(services),
    ...streamRoutes(services),
  ];
}
