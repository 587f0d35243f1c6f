// How we connect to etcd: etcd3 for gRPC, protobuf, TLS and authentication, and nothing of its
// policies. The rest of the folder talks to its raw RPC clients, not to its Lease and Watcher, whose
// faults (late loss, events lost on reconnect, loops that outlive close()) are then not ours.
//
// E1  No retries and no circuit breaker of etcd3: its retry policy covers transactions, and a
//     compare-and-set that succeeded but lost its answer would come back as not succeeded. Only what
//     provably never left goes to another host, each host once: a random choice at every try can meet
//     the same dead host until the time is up.
// E2  Every client has TCP connections of its own (a local subchannel pool): making one anew really
//     gives a fresh connection, and no caller shares a stalled one with another purpose.
// E3  gRPC keepalive notices a dead connection under a stream. etcd refuses pings more often than
//     every 5 s (--grpc-keepalive-min-time), so its time is never configured below that.
import { Etcd3, EtcdPermissionDeniedError, WatchClient, type IOptions } from 'etcd3';
import { prefixEnd } from './etcd-convert.ts';
import { isUnsent } from './etcd-error.ts';

/** Where etcd is, and how to be let in. */
export interface EtcdEndpoint {
  /** `http://host:port` or `https://host:port`, all of one kind; tried in random order. */
  readonly hosts: readonly string[];
  readonly credentials?: NonNullable<IOptions['credentials']>;
  /** Of its certificate, where that is not the host's: TLS has no name for an address, and Node warns. */
  readonly serverName?: string;
  readonly auth?: { readonly username: string; readonly password: string };
  /** gRPC keepalive: ping after this long without traffic, and the wait for the answer. Defaults 10 s and 3 s. */
  readonly keepaliveTimeMs?: number;
  readonly keepaliveTimeoutMs?: number;
}

type Policy = NonNullable<NonNullable<IOptions['faultHandling']>['global']>;

const quiet = () => ({ dispose: () => undefined });
const neverAborted = new AbortController().signal;

/** Runs what it is given, `times` at most: again only when nothing was sent (E1). */
function policy(times: number): Policy {
  return {
    get _altReturn(): never {
      throw new Error('exists for the type only');
    },
    onSuccess: quiet,
    onFailure: quiet,
    async execute(run, signal = neverAborted) {
      for (let left = times - 1; left > 0; left--) {
        try {
          return await run({ signal });
        } catch (error) {
          if (!isUnsent(error)) throw error;
        }
      }
      return run({ signal });
    },
  };
}

/** One client with connections of its own; the caller closes it. */
export class EtcdClient extends Etcd3 {
  constructor(endpoint: EtcdEndpoint) {
    super({
      hosts: [...endpoint.hosts],
      ...(endpoint.credentials === undefined ? {} : { credentials: endpoint.credentials }),
      ...(endpoint.auth === undefined ? {} : { auth: { ...endpoint.auth } }),
      // Within one run etcd3 goes through its hosts in turn.
      faultHandling: { global: policy(endpoint.hosts.length), host: () => policy(1) },
      grpcOptions: {
        ...(endpoint.serverName === undefined
          ? {}
          : { 'grpc.ssl_target_name_override': endpoint.serverName }),
        'grpc.use_local_subchannel_pool': 1,
        'grpc.keepalive_time_ms': endpoint.keepaliveTimeMs ?? 10_000,
        'grpc.keepalive_timeout_ms': endpoint.keepaliveTimeoutMs ?? 3_000,
        'grpc.keepalive_permit_without_calls': 0,
        // A batch of 1,000 revisions, or a page of a listing, is larger than gRPC's 4 MiB.
        'grpc.max_receive_message_length': -1,
        'grpc.initial_reconnect_backoff_ms': 100,
        'grpc.max_reconnect_backoff_ms': 2_000,
        'grpc.enable_retries': 0,
      },
    });
  }

  /**
   * For watch streams: the server ends a stream of a member that has lost the leader instead of
   * leaving it silent, and a stream that fails does not close the channel under the others.
   */
  watchStreams(): WatchClient {
    const pool = this.pool;
    return new WatchClient({
      callOptionsFactory: pool.callOptionsFactory,
      exec: (service, method, params, options) => pool.exec(service, method, params, options),
      markFailed: () => undefined,
      withConnection: (service, run) =>
        pool.withConnection(service, ({ resource, client, metadata }) => {
          const withLeader = metadata.clone();
          withLeader.set('hasleader', 'true');
          return run({ resource, client, metadata: withLeader });
        }),
    });
  }

  /**
   * Whether these credentials may read under `prefix`, asked in a way that renews an expired token
   * (a restarted etcd knows none of its tokens): etcd3 renews on unary calls only, so that a watch
   * would be refused for ever.
   */
  async mayRead(prefix: string, timeoutMs: number): Promise<boolean> {
    const range = { key: Buffer.from(prefix), range_end: prefixEnd(prefix), count_only: true };
    try {
      await this.kv.range(range, { deadline: Date.now() + timeoutMs });
      return true;
    } catch (error) {
      return !(error instanceof EtcdPermissionDeniedError);
    }
  }
}
