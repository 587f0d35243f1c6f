// Serves the API; a machine without that role says only how it is.
import type { Server } from 'node:http';
import { once } from 'node:events';
import { systemClock } from '../../actors/kernel/clock.ts';
import { monitoringRoutes } from '../api/nodes/monitoring.ts';
import { apiRoutes } from '../api/routes.ts';
import { Hub } from '../api/stream/hub.ts';
import { apiServer, closeServer } from '../api/http/server.ts';
import type { Config } from '../config.ts';
import { listenFailure } from '../embedded/preflight.ts';
import { apiServices, type ApiParts } from './api.ts';
import { TokenKeeper } from './token-keeper.ts';
import { monitoringOf, type Measured } from './metrics.ts';
import { type Undo } from './undo.ts';
import { WebSockets } from './web-sockets.ts';
import { VERSION, type DaemonOptions, type Parts } from './parts.ts';

/** Requests under way when the daemon stops. */
const API_GRACE_MS = 5_000;

export async function serveApi(
  options: DaemonOptions,
  parts: Parts &
    Pick<ApiParts, 'journal' | 'past' | 'router' | 'cluster' | 'booth' | 'channels'> &
    Pick<Measured, 'runtime' | 'cluster' | 'peers'>,
  undo: Undo,
): Promise<void> {
  const { config, random, log } = options;
  const tokenSecrets = await TokenKeeper.open({
    ...parts,
    clock: systemClock,
    random: Math.random,
    log,
    trace: () => random.uuid(),
    rotateDays: config.tokenRotateDays,
  });
  undo.push(() => tokenSecrets.close());
  const usage = () => parts.host.hypervisor.usage();
  const facts = { node: config.node, version: VERSION, clock: systemClock };
  const measured = { ...parts, ...facts, usage, log };
  const monitoring = {
    ...monitoringOf(measured, parts.metrics),
    access: () => config.metricsAccess,
  };
  const { host, past } = parts;
  const hub = new Hub({ ...facts, history: past.history });
  const sockets = new WebSockets(systemClock);
  const made = { tokenSecrets, monitoring, hub, sockets, here: host.hypervisor };
  const services = apiServices({ ...options, ...parts, ...made });
  // Without the role it says how it is, and nothing else.
  const routes = config.roles.includes('api') ? apiRoutes(services) : monitoringRoutes(services);
  await serve(config.api, apiServer(services, routes), undo);
  undo.push(() => {
    hub.close();
    return sockets.close();
  });
}

async function serve({ address, port }: Config['api'], server: Server, undo: Undo): Promise<void> {
  const listening = once(server, 'listening');
  server.listen(port, address);
  try {
    await listening;
  } catch (error) {
    throw listenFailure(
      { what: 'the API', setting: 'api', address, port },
      error as NodeJS.ErrnoException,
    );
  }
  undo.push(() => closeServer(server, API_GRACE_MS));
}
