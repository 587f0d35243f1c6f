// Pictures of the instance's screen (contract: instances 11.5): blobs that nothing else refers to, so the instance does.
//
// S1  The newest KEPT stay; the others are given back, and all when the instance goes.
// S2  The instance refers to the blob before it is made: what comes to nothing is given back all the same.
import { next, type Step } from '../kernel/kind.ts';
import type { InstanceMessage, InstanceState as State } from './state.ts';

type Of<K extends InstanceMessage['kind']> = Extract<InstanceMessage, { kind: K }>;

export const KEPT = 8;

/** Replies whether it is kept. */
export function keepScreenshot(state: State, { blobId }: Of<'keep-screenshot'>): Step<State> {
  if (state.phase !== 'created') return next(state, [], false);
  if (state.screenshots.includes(blobId)) return next(state, [], true);
  const screenshots = [...state.screenshots, blobId];
  return next({ ...state, screenshots }, [], true);
}

/** Those to be given back: the oldest, or of an instance that goes all. */
export function screenshotsToDrop({ screenshots }: State, isGoing: boolean): readonly string[] {
  return isGoing ? screenshots : screenshots.slice(0, Math.max(0, screenshots.length - KEPT));
}

export function screenshotsDropped(state: State, { blobIds }: Of<'screenshots-dropped'>): State {
  return { ...state, screenshots: state.screenshots.filter((id) => !blobIds.includes(id)) };
}
