// How far the fetch of a blob is, or its copy to a node where somebody waits for it, and who is told.
//
// Progress is no state that anything depends on: what is told late, twice or never does no harm.
import { plainEqual } from '../kernel/equal.ts';
import { next, type Step, type Wanted } from '../kernel/kind.ts';
import { fetcherOf } from './fetcher.ts';
import type { BlobMessage, BlobState, Progress } from './state.ts';

type Progressed = Extract<BlobMessage, { kind: 'progressed' }>;

export function progressed(state: BlobState, message: Progressed): Step<BlobState> {
  const { kind: _, ...progress } = message;
  if (state.phase === 'initial') {
    const fetcher = fetcherOf(state);
    if ((progress.node ?? fetcher) !== fetcher) return next(state);
    const { node: __, ...ofFetch } = progress;
    return told(state, ofFetch, 'fetching');
  }
  const isCopied = state.replicas[progress.node ?? '']?.phase === 'copying';
  return state.phase === 'created' && isCopied ? told(state, progress, 'copying') : next(state);
}

function told(state: BlobState, progress: BlobState['progress'], message: string): Step<BlobState> {
  if (plainEqual(progress, state.progress)) return next(state);
  return next({ ...state, progress }, [
    { type: 'status', message, extra: progressExtra(progress) },
  ]);
}

/** As an event shows it. */
export function progressExtra({ node, ...progress }: BlobState['progress']) {
  const { step, percent, doneBytes, totalBytes, bytesPerSecond, secondsLeft } = progress;
  return {
    ...(node === undefined ? {} : { node }),
    step,
    percent,
    ...(doneBytes === undefined ? {} : { bytes: doneBytes }),
    ...(totalBytes === undefined ? {} : { total_bytes: totalBytes }),
    ...(bytesPerSecond === undefined ? {} : { bytes_per_second: bytesPerSecond }),
    ...(secondsLeft === undefined ? {} : { seconds_left: secondsLeft }),
  };
}

/** What is told of it. */
export function progressOf({ progress }: BlobState): Progress {
  const { node: _, ...told } = progress;
  return told;
}

/** Of the fetch all users; of a copy those who wait for it. */
export function progressUsers({ phase, progress, users, needs, replicas }: BlobState): string[] {
  if (progress.step === '') return [];
  if (phase === 'initial') return users;
  const { node } = progress;
  if (phase !== 'created' || node === undefined || replicas[node]?.phase !== 'copying') return [];
  return users.filter((user) => needs[user] === node);
}

export function progressEffect(state: BlobState): Wanted<'tell-progress'>[] {
  const { step, percent, doneBytes, node } = state.progress;
  if (progressUsers(state).length === 0) return [];
  const key = [node ?? '', step, doneBytes ?? percent ?? 0].join(' ');
  return [{ name: 'tell-progress', key }];
}
