// One watch on one gRPC stream of its own, so that a watch that is refused or slow is nobody else's
// trouble. It reports what happens and never reconnects; resuming-watch.ts does that.
import type { IDuplexStream, IWatchRequest, IWatchResponse, WatchClient } from 'etcd3';
import { TroupeError } from '../../actors/kernel/errors.ts';
import { fromEvent, fromRevision, prefixEnd } from './etcd-convert.ts';
import { toTroupeError } from './etcd-error.ts';
import type { StreamEvents, WatchStream } from './resuming-watch.ts';

const DENIED = /permission denied|invalid auth token/;

type Stream = IDuplexStream<IWatchRequest, IWatchResponse>;

/** What a stream needs of the client that it runs on. */
export interface WatchTransport {
  readonly streams: WatchClient;
  /** Whether the credentials allow it after all; see EtcdClient.mayRead(). */
  mayRead(prefix: string): Promise<boolean>;
}

/** Opens a stream of the changes under `prefix` from `startRevision` on. */
export function openEtcdWatch(
  transport: WatchTransport,
  prefix: string,
  startRevision: number,
  events: StreamEvents,
): WatchStream {
  let stream: Stream | undefined;
  let isClosed = false;
  const report = (error: unknown) => {
    if (!isClosed) tellFailure(error, events);
  };
  transport.streams.watch().then((opened) => {
    // An error without a listener ends the process: attach before anything else, closed or not.
    opened.on('error', report);
    opened.on('end', () => report(new Error('etcd ended the watch stream')));
    if (isClosed) return endStream(opened);
    stream = opened;
    opened.on('data', (response) => {
      if (isClosed) return;
      if (response.canceled && DENIED.test(response.cancel_reason))
        return void tellDenied(transport, prefix, events);
      tellResponse(response, events);
    });
    const range = { key: Buffer.from(prefix), range_end: prefixEnd(prefix) };
    const create_request = {
      ...range,
      start_revision: startRevision,
      progress_notify: true,
      fragment: true,
    };
    opened.write({ create_request });
  }, report);
  return {
    close() {
      isClosed = true;
      if (stream !== undefined) endStream(stream);
      return Promise.resolve();
    },
  };
}

function endStream(stream: Stream): void {
  stream.end();
  stream.cancel();
}

function tellFailure(error: unknown, events: StreamEvents): void {
  const typed = toTroupeError(error, false);
  if (typed.code === 'store/unavailable') events.broken(typed);
  else events.refused(typed);
}

function tellResponse(response: IWatchResponse, events: StreamEvents): void {
  if (response.canceled) return tellCanceled(response, events);
  if (response.created) {
    return events.opened(fromRevision(response.header.revision), response.header.cluster_id);
  }
  if (response.events.length > 0) {
    return events.batch(response.events.map(fromEvent), !response.fragment);
  }
  events.progress(fromRevision(response.header.revision));
}

function tellCanceled(response: IWatchResponse, events: StreamEvents): void {
  const { compact_revision: compacted, cancel_reason: reason } = response;
  if (compacted !== '0') {
    const message = `the store was compacted at revision ${compacted}; list it again`;
    const detail = { compacted: fromRevision(compacted), replaced: false };
    return events.refused(new TroupeError('store/compacted', message, detail));
  }
  events.broken(new Error(`etcd canceled the watch: ${reason || 'no reason given'}`));
}

/** Which it is, an expired token or a missing permission, shows when we ask with a token of today. */
async function tellDenied(
  transport: WatchTransport,
  prefix: string,
  events: StreamEvents,
): Promise<void> {
  if (await transport.mayRead(prefix))
    return events.broken(new Error('etcd refused the watch for its expired token'));
  const message = `etcd refuses to let this daemon watch ${prefix}; check its role in etcd`;
  events.refused(new TroupeError('config/invalid', message));
}
