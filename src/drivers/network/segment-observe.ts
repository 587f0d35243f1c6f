// Looks at everything a segment consists of: five short processes side by side, and nothing changed by them.
import { existsSync, readFileSync } from 'node:fs';
import type { Errand, Host } from './host.ts';
import { namespacePath } from './host.ts';
import {
  deviceSettingsOf,
  fdbEntryOf,
  linkOf,
  neighbourOf,
  parseBatch,
  parseList,
  routeOf,
} from './listing.ts';
import type { FdbEntry, Fields, Link, Neighbour } from './listing.ts';
import { observeTable } from './nft.ts';
import { NO_ROUTER, type RouterSeen } from './router.ts';
import { bridgeTableName, routerTableName } from './rules-segment.ts';
import type { SegmentWanted } from './segment-wanted.ts';

export interface SegmentSeen {
  readonly links: ReadonlyMap<string, Link>;
  readonly neighbours: readonly Neighbour[];
  readonly fdb: readonly FdbEntry[];
  readonly router: RouterSeen;
  /** Digests of what the kernel lists; undefined: no such table. */
  readonly bridgeTable: string | undefined;
  readonly routerTable: string | undefined;
}

export async function observeSegment(
  wanted: SegmentWanted,
  host: Host,
  errand: Errand,
): Promise<SegmentSeen> {
  const { namespace, bridge } = wanted.names;
  const presence = namespacePresence(namespace);
  const isPresent = presence === 'present';
  const [here, fdb, router, bridgeTable, routerTable] = await Promise.all([
    host.ip(null, ['link show', 'neigh show nud permanent'], errand),
    // Fails while there is no such bridge, which the list of links tells as well.
    host.run('bridge', ['-j', 'fdb', 'show', 'br', bridge], errand, { okCodes: [0, 1, 255] }),
    isPresent ? observeRouter(namespace, host, errand) : NO_ROUTER,
    observeTable(host, null, bridgeTableName(wanted), errand),
    isPresent ? observeTable(host, namespace, routerTableName(wanted), errand) : undefined,
  ]);
  const [links = [], neighbours = []] = parseBatch(here);
  return {
    links: byName(links),
    neighbours: neighbours.map(neighbourOf),
    fdb: fdb.code === 0 ? parseList(fdb.stdout).map(fdbEntryOf) : [],
    router: { namespace: presence, ...router },
    bridgeTable,
    routerTable,
  };
}

async function observeRouter(
  namespace: string,
  host: Host,
  errand: Errand,
): Promise<Omit<RouterSeen, 'namespace'>> {
  const output = await host.ip(
    namespace,
    ['link show', 'addr show', 'route show', 'netconf show'],
    errand,
  );
  const [links = [], addresses = [], routes = [], settings = []] = parseBatch(output);
  return {
    links: byName(links, addresses),
    routes: routes.map(routeOf),
    settings: deviceSettingsOf(settings),
  };
}

/** Links by name. `addr show` alone leaves out how IPv6 addresses come about, hence both listings. */
export function byName(
  links: readonly Fields[],
  addresses: readonly Fields[] = [],
): Map<string, Link> {
  const info = new Map(addresses.map((row) => [row['ifname'], row['addr_info']]));
  return new Map(
    links.map((row) => {
      const link = linkOf({ ...row, addr_info: info.get(row['ifname']) });
      return [link.name, link];
    }),
  );
}

/** `ip netns add` makes a file, then mounts the namespace on it; a crash in between leaves the file. */
export function namespacePresence(namespace: string): RouterSeen['namespace'] {
  const path = namespacePath(namespace);
  if (!existsSync(path)) return 'absent';
  const mounts = readFileSync('/proc/self/mounts', 'utf8');
  return mounts.split('\n').some((line) => line.split(' ')[1] === path) ? 'present' : 'broken';
}
