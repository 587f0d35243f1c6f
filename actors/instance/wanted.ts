// What an instance's state asks for: the effects that ought to run, and what it waits for.
import type { Passing, Wanted } from '../kernel/kind.ts';
import { isPaused, withSetback } from '../kernel/setback.ts';
import { isCleaning, mayHaveDomain } from './clean.ts';
import { isNodeMissing } from './node-seen.ts';
import { operationEffects, operationsToDrop } from './operations.ts';
import { plugging } from './plug.ts';
import { screenshotsToDrop } from './screenshots.ts';
import type { InstanceMessage, InstanceState as State } from './state.ts';

export type InstanceEffect =
  | 'create-interfaces'
  | 'place'
  | 'start-preflight'
  | 'request-images'
  | 'place-interfaces'
  | 'sync-domain'
  | 'remove-domain'
  | 'delete-interfaces'
  | 'release-images'
  | 'start-operation'
  | 'drop-operations'
  | 'drop-screenshots'
  | 'drop-snapshots'
  | 'forget';

/** Longer than the effects of the phase try, so that their own reason is the one that is seen. */
const DEADLINE_MS: Partial<Record<State['phase'], number>> = {
  initial: 240_000,
  // A blob may take 30 minutes.
  preflight: 1_920_000,
  creating: 300_000,
  'delete-wait': 300_000,
  'initial-error': 300_000,
  'preflight-error': 300_000,
  'creating-error': 300_000,
};

export function effects(state: State): Wanted<InstanceEffect>[] {
  if (isPaused(state)) return [];
  if (isCleaning(state)) return [cleaningEffect(state), ...clearing(state)];
  if (state.phase === 'initial') return [{ name: initialEffect(state), key: '' }];
  if (state.phase === 'preflight') {
    return [
      { name: 'request-images', key: imagesOf(state).join() },
      { name: 'place-interfaces', key: state.node ?? '' },
    ];
  }
  if (state.phase === 'created' && isNodeMissing(state)) return [];
  const syncing = { name: 'sync-domain', key: String(state.generation) } as const;
  if (state.phase === 'creating') return [syncing];
  if (state.phase === 'created') {
    return [
      syncing,
      ...plugging(state),
      ...operationEffects(state),
      ...droppingScreenshots(state, false),
    ];
  }
  return state.forgetting ? [{ name: 'forget', key: '' }] : [];
}

function imagesOf(state: State): (string | null)[] {
  const below = state.below.map(({ blobId }) => blobId);
  return [...state.disks.map(baseOf), templateOf(state), ...below];
}

/** What it starts from, as far as that is known. */
export function baseOf({ blobId, transcodeId }: State['disks'][number]): string | null {
  return transcodeId ?? blobId;
}

/** The blob that its NVRAM starts from. */
export function templateOf({
  uefi,
  nvramTemplate,
}: Pick<State, 'uefi' | 'nvramTemplate'>): string | null {
  return uefi ? nvramTemplate : null;
}

function initialEffect(state: State): InstanceEffect {
  if (state.nics.some((nic) => nic.phase === 'none')) return 'create-interfaces';
  return state.node === null ? 'place' : 'start-preflight';
}

/** Given back in the order of dependence: the domain uses taps and disks, taps use addresses, disks use blobs. */
function cleaningEffect(state: State): Wanted<InstanceEffect> {
  if (mayHaveDomain(state)) return { name: 'remove-domain', key: '' };
  if (state.nics.some((nic) => nic.phase !== 'deleted'))
    return { name: 'delete-interfaces', key: '' };
  return { name: 'release-images', key: '' };
}

/** Beside that: what hangs on the instance, but not on its machine. */
function clearing(state: State): Wanted<InstanceEffect>[] {
  const ids = operationsToDrop(state, true);
  const drop = { name: 'drop-operations', key: ids.join() } as const;
  const { snapshots } = state;
  const end = { name: 'drop-snapshots', key: snapshots.join() } as const;
  return [
    ...(ids.length > 0 ? [drop] : []),
    ...droppingScreenshots(state, true),
    ...(snapshots.length > 0 ? [end] : []),
  ];
}

function droppingScreenshots(state: State, isGoing: boolean): Wanted<InstanceEffect>[] {
  const ids = screenshotsToDrop(state, isGoing);
  return ids.length > 0 ? [{ name: 'drop-screenshots', key: ids.join() }] : [];
}

export function passing(state: State): Passing<InstanceMessage> | null {
  const patienceMs = DEADLINE_MS[state.phase];
  if (patienceMs === undefined) return null;
  const { sinceMs } = state;
  const deadlineAtMs = sinceMs + patienceMs;
  const reason = withSetback(reasonOf(state), state);
  return { reason, sinceMs, deadlineAtMs, cancel: { kind: 'delete' } };
}

const GIVING_BACK: Partial<Record<InstanceEffect, string>> = {
  'remove-domain': 'removing its domain, disks and taps',
  'delete-interfaces': 'giving back its interfaces',
  'release-images': 'giving back its images',
};

function reasonOf(state: State): string {
  if (isCleaning(state)) return GIVING_BACK[cleaningEffect(state).name] ?? 'giving back';
  if (state.phase === 'creating') return 'building disks, taps and the domain';
  if (state.phase === 'initial') return 'reserving addresses and choosing a node';
  const disks = [...state.disks, ...state.below].filter((one) => !one.isReady).length;
  const images = disks + (state.isTemplateReady ? 0 : 1);
  const nics = state.nics.filter((nic) => nic.phase !== 'created').length;
  return `waiting for ${counted(images, 'image')} and ${counted(nics, 'interface')}`;
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
