// This daemon among the others: the mesh, the door for new nodes, and the router over both.
import type { Clock } from '../../actors/kernel/clock.ts';
import { TroupeError } from '../../actors/kernel/errors.ts';
import type { Message } from '../../actors/kernel/kind.ts';
import type { Log, Router } from '../../actors/kernel/ports.ts';
import {
  channelDialler,
  CHANNELS_PATH,
  ChannelServer,
  type ChannelDialler,
  type OpenChannel,
} from '../../transport/mesh/channel.ts';
import { Mesh, PROTOCOL, type PeerStatus } from '../../transport/mesh/mesh.ts';
import type { Guests } from '../../transport/mesh/socket.ts';
import type { Member } from '../../transport/sharding/member.ts';
import {
  admissionKey,
  Admissions,
  encodeAdmission,
  keyDigest,
} from '../../transport/sharding/admission.ts';
import { clusterRouter, type Peers } from '../../transport/sharding/router.ts';
import type { Keys } from '../../transport/store/keys.ts';
import type { Store } from '../../transport/store/store.ts';
import { admission, isGuest } from '../cluster/admission.ts';
import { clusterFiles, readIdentity } from '../cluster/files.ts';
import type { Config } from '../config.ts';
import { existsSync, readFileSync } from 'node:fs';
import type { ImageDriver } from '../drivers/image/driver.ts';
import type { CallMeter } from '../metrics/call-meter.ts';
import { blobExchange, type BlobExchange } from './blobs.ts';
import type { Cluster } from './cluster.ts';
import { sharedSettings } from './shared-settings.ts';

export interface MeshParts {
  readonly config: Config;
  readonly store: Store;
  readonly keys: Keys;
  readonly member: Member;
  readonly cluster: Cluster;
  /** Delivers to what is here. */
  readonly local: Router;
  readonly images: ImageDriver;
  /** Opens what others want bytes of. */
  readonly open: OpenChannel;
  /** Measures what is asked of others. */
  readonly asks: CallMeter;
  readonly clock: Clock;
  readonly log: Log;
}

export interface Among {
  readonly router: Router;
  readonly channels: ChannelDialler;
  /** Everyone that was ever spoken with. */
  readonly peers: () => PeerStatus[];
  close(): Promise<void>;
}

/** Opens the mesh where there is one. Errors: `config/invalid`, those of listen(). */
export async function openAmong(parts: MeshParts): Promise<Among> {
  const { config, cluster, local, clock, log } = parts;
  const links = config.mesh === null ? null : await openLinks(parts, config.mesh);
  const router = clusterRouter({
    node: config.node,
    local,
    peers: links === null ? nobody : measured(links.mesh, parts.asks),
    routes: cluster,
    clock,
    onLostTell: (to, _message, error) => log('warn', 'tell not delivered', { ...to, error }),
  });
  return {
    router,
    channels: links?.dialler ?? noChannels,
    peers: () => links?.mesh.status() ?? [],
    close: async () => {
      await links?.admissions.close();
      links?.blobs.close();
      links?.channels.close();
      await links?.mesh.close();
    },
  };
}

function measured(peers: Peers, asks: CallMeter): Peers {
  return {
    ask: (node, to, body, options) => asks.measure('ask', () => peers.ask(node, to, body, options)),
  };
}

/** Of a daemon without a mesh: others may be members nevertheless, by a mistake in the settings. */
const nobody: Peers = { ask: alone };
const noChannels: ChannelDialler = { open: alone };

function alone(node: string): Promise<never> {
  const message = `this daemon has no mesh (setting mesh-address) and cannot reach ${node}`;
  return Promise.reject(new TroupeError('mesh/unreachable', message, { node }));
}

interface Links {
  readonly mesh: Mesh;
  readonly blobs: BlobExchange;
  readonly channels: ChannelServer;
  readonly dialler: ChannelDialler;
  readonly admissions: Admissions;
}

async function openLinks(parts: MeshParts, listen: NonNullable<Config['mesh']>): Promise<Links> {
  const { config, store, keys, member, cluster, local, images, clock, log } = parts;
  const { node, bootId, version } = member;
  const identity = readIdentity(config);
  const addressOf = (name: string) => cluster.memberOf(name)?.mesh ?? undefined;
  const self = { cluster: config.cluster, node };
  const { copyRate } = config.image;
  const blobs = blobExchange({ self, identity, images, addressOf, clock, log, copyRate });
  const common = { cluster: config.cluster, clock };
  const channels = new ChannelServer(common, parts.open);
  const dialler = channelDialler(common, identity, addressOf);
  const timing = { clock, random: Math.random, log };
  const admissions = new Admissions({ store, keys, ...timing });
  try {
    await admissions.ready();
    const mesh = await Mesh.open({
      hello: { ...PROTOCOL, cluster: config.cluster, node, bootId, version, features: [] },
      identity,
      listen,
      guests: await door(config, store, keys, log),
      admits: (name, publicKey) => admissions.isWelcome(name, keyDigest(publicKey)),
      doors: new Map([...blobs.doors, [CHANNELS_PATH, channels.door]]),
      addressOf,
      // What a peer sends is decoded by the kind, like everything else.
      handle: (_from, to, body, options) => local.ask(to, body as Message, options),
      ...timing,
    });
    admissions.onRemoved((name) => mesh.cut(name, 'removed from the cluster'));
    return { mesh, blobs, channels, dialler, admissions };
  } catch (error) {
    await admissions.close();
    throw error;
  }
}

/** Only the node with the authorities' keys can admit others. */
async function door(config: Config, store: Store, keys: Keys, log: Log): Promise<Guests | null> {
  const files = clusterFiles(config.dataDir);
  if (!existsSync(files.authorityKey)) return null;
  // The first node was never admitted: nobody else may have its name.
  const key = admissionKey(keys, config.node);
  await store.txn({
    compare: [{ target: 'create', key, is: '==', than: 0 }],
    then: [
      {
        op: 'put',
        key,
        value: encodeAdmission({ node: config.node, key: '', isRemoved: false }),
      },
    ],
  });
  const shared = sharedSettings(config);
  return {
    ca: readFileSync(files.inviter, 'utf8'),
    isGuest,
    handle: admission({ files, store, keys, shared, log }),
  };
}
