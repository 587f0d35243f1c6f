// All routes of the API.
import { adminRoutes } from './nodes/admin.ts';
import { artifactRoutes } from './artifacts/artifacts.ts';
import { labelRoutes } from './artifacts/labels.ts';
import { uploadRoutes } from './artifacts/uploads.ts';
import { blobRoutes } from './blobs/blobs.ts';
import { ImageCache } from './artifacts/image-cache.ts';
import { historyRoutes } from './history/history.ts';
import { instanceRoutes } from './instances/instances.ts';
import { agentOperationRoutes } from './instances/agent-operations.ts';
import { interfaceRoutes } from './instances/interfaces.ts';
import { loginRoutes } from './identity/login.ts';
import { metadataRoutes } from './objects/metadata-routes.ts';
import { namespaceRoutes } from './identity/namespaces.ts';
import { networkRoutes } from './networks/networks.ts';
import { nodeRoutes } from './nodes/nodes.ts';
import { consoleAuthorityRoutes } from './nodes/console-authority.ts';
import { operationRoutes } from './nodes/operations.ts';
import { monitoringRoutes } from './nodes/monitoring.ts';
import { rootRoutes } from './http/root.ts';
import { streamRoutes } from './stream/routes.ts';
import type { Route } from './http/route.ts';
import { compatRoutes } from './compat/compat.ts';
import { descriptionRoutes } from './description/description.ts';
import type { ApiServices } from './services.ts';

/** Of the 0.8 API, and the same below `/compat/0.4` in the shapes that older clients read. */
export function apiRoutes(services: ApiServices): Route[] {
  const current = currentRoutes(services);
  return [...current, ...compatRoutes(services, current)];
}

function currentRoutes(services: ApiServices): Route[] {
  const images = new ImageCache(services);
  const routes: Route[] = [
    ...rootRoutes(() => routes),
    ...monitoringRoutes(services),
    ...loginRoutes(services),
    ...namespaceRoutes(services),
    ...instanceRoutes(services, images),
    ...networkRoutes(services),
    ...interfaceRoutes(services),
    ...agentOperationRoutes(services),
    ...artifactRoutes(services, images),
    ...uploadRoutes(services),
    ...labelRoutes(services),
    ...blobRoutes(services),
    ...nodeRoutes(services),
    ...consoleAuthorityRoutes(services),
    ...adminRoutes(services),
    ...metadataRoutes(services),
    ...operationRoutes(services),
    ...streamRoutes(services),
    ...historyRoutes(services),
    ...descriptionRoutes(() => routes, { version: '0.8', base: '' }),
  ];
  return routes;
}
