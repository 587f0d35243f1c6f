// Meshes that know each other's ports, over real sockets on loopback.
import * as assert from 'uvu/assert';
import { systemClock } from '../../actors/kernel/clock.ts';
import { TroupeError } from '../../actors/kernel/errors.ts';
import type { Hello } from '../../transport/mesh/frame.ts';
import { Mesh, type MeshOptions } from '../../transport/mesh/mesh.ts';
import type { MeshIdentity } from '../../transport/mesh/socket.ts';
import { keptLog } from './kernel.ts';
import { testAuthority } from './mesh-certificates.ts';
import { meshHello } from './mesh-pair.ts';

export interface MeshNode {
  readonly mesh: Mesh;
  readonly heard: { from: string; body: unknown; trace: string }[];
  readonly lines: ReturnType<typeof keptLog>['lines'];
}

/** Meshes of one cluster; those of a name know each other's last port. */
export class MeshCluster {
  readonly open: Mesh[] = [];
  readonly ports = new Map<string, number>();
  readonly #identityOf: (name: string) => MeshIdentity;

  constructor(identityOf: (name: string) => MeshIdentity) {
    this.#identityOf = identityOf;
  }

  /** Answers `{echo: body}` at revision 7, unless told otherwise. */
  async start(name: string, changes: Partial<MeshOptions> = {}, port = 0): Promise<MeshNode> {
    const heard: MeshNode['heard'] = [];
    const { log, lines } = keptLog();
    const mesh = await Mesh.open({
      hello: helloOf(name),
      identity: changes.identity ?? this.#identityOf(name),
      listen: { host: '127.0.0.1', port },
      addressOf: (node) => {
        const known = this.ports.get(node);
        return known === undefined ? undefined : { host: '127.0.0.1', port: known };
      },
      handle: (from, _to, message, { trace }) => {
        heard.push({ from, body: message, trace });
        return Promise.resolve({ value: { echo: message as string }, revision: 7 });
      },
      clock: systemClock,
      random: Math.random,
      log,
      ...changes,
    });
    this.open.push(mesh);
    this.ports.set(name, mesh.port);
    return { mesh, heard, lines };
  }

  async close(): Promise<void> {
    await Promise.all(this.open.map((mesh) => mesh.close()));
  }
}

/** One authority for all clusters of a test file; keeps the process alive until closed. */
export function meshLab() {
  const authority = testAuthority();
  const identities = new Map<string, MeshIdentity>();
  // Neither sockets' nor our clock's timers keep the process alive while somebody waits for them.
  const alive = setInterval(() => undefined, 1_000);
  const identityOf = (name: string) => {
    const identity = identities.get(name) ?? authority.identity(name);
    identities.set(name, identity);
    return identity;
  };
  return {
    identityOf,
    /** Closes the cluster's meshes whatever happens. */
    inCluster: async (body: (cluster: MeshCluster) => Promise<void>): Promise<void> => {
      const cluster = new MeshCluster(identityOf);
      try {
        await body(cluster);
      } finally {
        await cluster.close();
      }
    },
    close() {
      authority.close();
      clearInterval(alive);
    },
  };
}

/** Each is of another boot. */
export function helloOf(node: string, changes: Partial<Hello> = {}): Omit<Hello, 'kind'> {
  return meshHello(node, { bootId: crypto.randomUUID(), ...changes });
}

/** For rejects(): a TroupeError of this code, whose message matches. */
export function failure(wanted: string, text = /./) {
  return (error: unknown): boolean => {
    assert.instance(error, TroupeError);
    const { code, message } = error as TroupeError;
    assert.is(code, wanted, message);
    assert.match(message, text);
    return true;
  };
}
