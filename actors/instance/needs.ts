// What an instance needs before it can be built, as others report it: interfaces, artifacts, blobs.
import { next, type EventDraft, type Step, type Turn } from '../kernel/kind.ts';
import { failure, type Failure } from '../kernel/object.ts';
import { progressExtra } from '../blob/progress.ts';
import { clean, isCleaning, mayHaveDomain } from './clean.ts';
import { fail } from './fail.ts';
import { isPlugging, plugFailed, plugged } from './plug.ts';
import { baseOf, templateOf } from './wanted.ts';
import type { Disk, InstanceMessage, InstanceState, Nic } from './state.ts';

type State = InstanceState;
type Of<K extends InstanceMessage['kind']> = Extract<InstanceMessage, { kind: K }>;

/** An interface only moves forward; what is told late is history. */
const NIC_ORDER: readonly Nic['phase'][] = ['none', 'initial', 'created', 'error', 'deleted'];

/** Replies whether the interface is (still) wanted. */
export function interfaceChanged(
  state: State,
  message: Of<'interface-changed'>,
  turn: Turn,
): Step<State> {
  const { interfaceId } = message;
  const nic = state.nics.find((one) => one.interfaceId === interfaceId);
  if (nic === undefined || nic.phase === 'deleted' || state.phase === 'deleted')
    return next(state, [], false);
  const phase = message.phase === 'delete-wait' ? nic.phase : message.phase;
  if (NIC_ORDER.indexOf(phase) < NIC_ORDER.indexOf(nic.phase))
    return next(state, [], isOfUse(state));
  const { mac, ipv4 } = message;
  if (state.phase === 'created' && isPlugging(nic) && (phase === 'error' || phase === 'deleted')) {
    return plugFailed(state, nic, message.failure?.reason ?? 'it was deleted');
  }
  const nics = state.nics.map((one) => (one === nic ? { ...nic, phase, mac, ipv4 } : one));
  const step = nicsChanged({ ...state, nics }, { nic, message, phase }, turn);
  return { ...step, reply: isOfUse(step.state ?? state) };
}

/**
 * False once the instance cleans up and no guest can have the interface: its deletion may have been asked for before
 * it was made, and found nothing.
 */
function isOfUse(state: State): boolean {
  return !isCleaning(state) || mayHaveDomain(state);
}

function nicsChanged(
  state: State,
  change: { nic: Nic; message: Of<'interface-changed'>; phase: Nic['phase'] },
  turn: Turn,
): Step<State> {
  const { nic, message, phase } = change;
  const why = message.failure ?? failure('object/wrong-phase', 'an interface failed');
  if (isCleaning(state)) return clean({}, state, turn);
  if (state.phase === 'created' && phase === 'created' && isPlugging(nic)) {
    return plugged(state, { ...nic, mac: message.mac, ipv4: message.ipv4 });
  }
  if (phase === 'created' || phase === 'initial') return advance(state, turn);
  if (phase !== 'error' && phase !== 'deleted') return next(state);
  // A running guest is not torn down because the record of its interface is out of order.
  if (state.phase !== 'created') return fail(state, phase === 'error' ? why : GONE, turn);
  if (nic.phase === phase) return next(state);
  const extra = { interface: nic.interfaceId, reason: why.reason };
  return next(state, [{ type: 'status', message: 'an interface is out of order', extra }]);
}

const GONE = failure('object/wrong-phase', 'an interface was deleted while the instance was built');

/** Of what its disks start from. */
export function imageNews(
  state: State,
  message: Of<'artifact-changed' | 'blob-changed' | 'blob-progressed'>,
  turn: Turn,
): Step<State> {
  switch (message.kind) {
    case 'artifact-changed':
      return artifactChanged(state, message, turn);
    case 'blob-changed':
      return blobChanged(state, message, turn);
    case 'blob-progressed':
      return blobProgressed(state, message);
  }
}

function artifactChanged(state: State, message: Of<'artifact-changed'>, turn: Turn): Step<State> {
  if (state.phase !== 'preflight') return next(state);
  const { artifactId, blobId } = message;
  const isAwaited = state.disks.some((disk) => disk.artifactId === artifactId && !disk.blobId);
  if (!isAwaited) return next(state);
  if (blobId === null) return imageFailed(state, message.failure, turn);
  const disks = state.disks.map((disk) =>
    disk.artifactId === artifactId && disk.blobId === null ? { ...disk, blobId } : disk,
  );
  return next({ ...state, disks });
}

/** Replies whether a disk, or the NVRAM, is (still) based on the blob. */
function blobChanged(state: State, message: Of<'blob-changed'>, turn: Turn): Step<State> {
  const { blobId } = message;
  if (state.screenshots.includes(blobId)) return next(state, [], true);
  const isTemplate = templateOf(state) === blobId;
  const isBased =
    isTemplate ||
    state.disks.some((disk) => disk.blobId === blobId || disk.transcodeId === blobId) ||
    state.below.some((one) => one.blobId === blobId);
  if (!isBased || state.areImagesReleased || state.phase === 'deleted')
    return next(state, [], false);
  if (state.phase !== 'preflight') return next(state, [], true);
  if (message.phase === 'error') {
    return { ...imageFailed(state, message.failure, turn), reply: true };
  }
  const disks = state.disks.map((disk) => startable(disk, message));
  const isTemplateReady = isTemplate || state.isTemplateReady;
  const known = { ...state, disks, isTemplateReady };
  const step = advance({ ...known, below: belowOf(known, message) }, turn);
  return { ...step, events: [...early(state, message), ...step.events], reply: true };
}

/** What is on the node, and what that is read through, which has to be there too. */
function belowOf({ below, disks }: State, message: Of<'blob-changed'>): State['below'] {
  const { blobId, dependsOn } = message;
  const known = below.map((one) => (one.blobId === blobId ? { blobId, isReady: true } : one));
  if (dependsOn === undefined || known.some((one) => one.blobId === dependsOn)) return known;
  // Another disk may be based on it, and have been told already.
  const isReady = disks.some((disk) => disk.isReady && baseOf(disk) === dependsOn);
  return [...known, { blobId: dependsOn, isReady }];
}

/** The image of a disk is on its way: to its artifact, or to the instance's node. */
function blobProgressed(state: State, { progress }: Of<'blob-progressed'>): Step<State> {
  if (state.phase !== 'preflight') return next(state);
  const extra = progressExtra(progress);
  return next(state, [{ type: 'status', message: 'waiting for an image', extra }]);
}

/** Said once, of a disk that is read from other nodes until its image is here. */
function early({ disks }: State, { blobId, isOnItsWay }: Of<'blob-changed'>): EventDraft[] {
  const isNews = disks.some((disk) => disk.blobId === blobId && !disk.isReady);
  if (isOnItsWay !== true || !isNews) return [];
  const text = 'starting while an image is being copied; until then it is read from other nodes';
  return [{ type: 'status', message: text, extra: { blob_uuid: blobId } }];
}

/** The disk as it is once the blob is on the node: if it starts from another one, that has to be there too. */
function startable(disk: Disk, { blobId, diskBlobId = blobId }: Of<'blob-changed'>): Disk {
  if (disk.transcodeId === blobId) return { ...disk, isReady: true };
  if (disk.blobId !== blobId) return disk;
  if (diskBlobId === blobId) return { ...disk, isReady: true };
  // Told once more, it is ready all the same.
  return disk.isReady ? disk : { ...disk, transcodeId: diskBlobId };
}

/** The reason's words are the image's own (contract: instances 6, step 2). */
export function imageFailed(state: State, why: Failure | null, turn: Turn): Step<State> {
  const reason = `Image fetch failed: ${why?.reason ?? 'the image has no version'}`;
  return fail(state, failure('image/missing', reason), turn);
}

/** Moves on from preflight once images and interfaces are there. */
export function advance(state: State, turn: Turn): Step<State> {
  const isReady =
    state.disks.every((disk) => disk.isReady) &&
    state.isTemplateReady &&
    state.below.every(({ isReady: isThere }) => isThere) &&
    state.nics.every((nic) => nic.phase === 'created');
  if (state.phase !== 'preflight' || !isReady) return next(state);
  const started = { power: 'on', powerOns: 1, generation: 1 } as const;
  const durationMs = turn.now - state.sinceMs;
  return next({ ...state, ...started, phase: 'creating', sinceMs: turn.now }, [
    { type: 'status', message: 'images and networks are ready, building', durationMs },
  ]);
}

export function goneNic(nic: Nic): Nic {
  return { ...nic, phase: 'deleted' };
}
