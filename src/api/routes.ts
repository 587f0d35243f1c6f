// All routes of the API.
import { artifactRoutes } from './artifacts.ts';
import { ImageCache } from './image-cache.ts';
import { instanceRoutes } from './instances.ts';
import { interfaceRoutes } from './interfaces.ts';
import { loginRoutes } from './login.ts';
import { metadataRoutes } from './metadata-routes.ts';
import { namespaceRoutes } from './namespaces.ts';
import { networkRoutes } from './networks.ts';
import { nodeRoutes } from './nodes.ts';
import { operationRoutes } from './operations.ts';
import { rootRoutes } from './root.ts';
import type { Route } from './route.ts';
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
  ];
}
