// A virtual machine, from the wish to the running domain and back.
//
// initial     interfaces are made and reserve their addresses, then a node is chosen
// preflight   images are brought to the node, interfaces join their networks there
// creating    the node's executor builds disks, taps and the domain
// created     built and started; the power state is another matter (state.power, state.observed)
// X-error     failed in phase X: everything is given back, then `error`
// delete-wait everything is given back, then `deleted`
import {
  defineKind,
  next,
  refuse,
  restartThenPark,
  PATIENT,
  PROMPT,
  STANDING,
} from '../kernel/kind.ts';
import type { EffectPolicy, KernelMessage, Passing, Step, Turn, Wanted } from '../kernel/kind.ts';
import { failure, forgetAtMs, isForgettable, newLife } from '../kernel/object.ts';
import { decoder } from '../kernel/schema.ts';
import { clean, isCleaning, startCleaning } from './clean.ts';
import { crashed, fail } from './fail.ts';
import { domainObserved, setPower } from './power.ts';
import {
  decodeInstanceMessage,
  InstanceState,
  type InstanceMessage,
  type InstanceState as State,
} from './state.ts';

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
  | 'forget';

/** Longer than an image may take, so that the blob's own reason is the one that is seen. */
const DEADLINE_MS: Partial<Record<State['phase'], number>> = {
  initial: 120_000,
  preflight: 1_920_000,
  creating: 300_000,
  'delete-wait': 300_000,
  'initial-error': 300_000,
  'preflight-error': 300_000,
  'creating-error': 300_000,
  'created-error': 300_000,
};

/** Ends before the phase does, so that what is recorded is the effect's own reason. */
const BUILDING: EffectPolicy = { ...PATIENT, deadlineMs: 240_000 };

export const initial: State = {
  phase: 'none',
  name: '',
  namespace: '',
  cpus: 1,
  memoryMiB: 0,
  video: { model: 'cirrus', memoryKiB: 16384, vdi: 'vnc' },
  videoSpec: {},
  sshKey: null,
  userData: null,
  configDrive: 'openstack-disk',
  uefi: false,
  secureBoot: false,
  nvramTemplate: null,
  sideChannels: [],
  requestedNode: null,
  seed: '',
  disks: [],
  nics: [],
  node: null,
  power: 'off',
  powerOns: 0,
  hardReboots: 0,
  softReboots: 0,
  generation: 0,
  builtDisks: [],
  observed: null,
  lostAtMs: [],
  isDomainGone: false,
  areImagesReleased: false,
  ...newLife,
};

function transition(
  state: State,
  message: InstanceMessage | KernelMessage,
  turn: Turn,
): Step<State> {
  if (state.phase === 'none' && message.kind !== 'create') {
    return refuse(state, 'object/not-found', 'instance not found');
  }
  switch (message.kind) {
    case 'create': {
      if (state.phase !== 'none') return next(state);
      const { kind: _, ...asked } = message;
      return next({ ...state, ...asked, phase: 'initial', sinceMs: turn.now }, [
        {
          type: 'audit',
          message: 'created instance',
          extra: { cpus: asked.cpus, memory: asked.memoryMiB },
        },
      ]);
    }
    case 'interface-changed':
      return interfaceChanged(state, message, turn);
    case 'placed':
      if (state.phase !== 'initial' || state.node !== null) return next(state);
      return next({ ...state, node: message.node }, [
        {
          type: 'audit',
          message: 'placed',
          extra: { node: message.node, candidates: message.candidates },
        },
      ]);
    case 'preflight-started':
      if (state.phase !== 'initial') return next(state);
      return advance({ ...state, phase: 'preflight', sinceMs: turn.now }, turn);
    case 'artifact-changed':
      return artifactChanged(state, message, turn);
    case 'blob-changed':
      return blobChanged(state, message, turn);
    case 'domain-observed':
      return domainObserved(state, message, turn);
    case 'set-power':
      return setPower(state, message.action, turn);
    case 'domain-removed':
      return clean({ ...state, isDomainGone: true, observed: null }, turn);
    case 'images-released':
      return clean({ ...state, areImagesReleased: true }, turn);
    case 'delete':
      return startCleaning(state, turn);
    case 'forgotten':
      return next<State>(null);
    case 'effect-failed':
      return effectFailed(state, message, turn);
    case 'time-reached':
      return timeReached(state, turn);
  }
}

function interfaceChanged(
  state: State,
  message: Extract<InstanceMessage, { kind: 'interface-changed' }>,
  turn: Turn,
): Step<State> {
  const { interfaceId, mac, ipv4 } = message;
  const phase = message.phase === 'delete-wait' ? 'created' : message.phase;
  const nics = state.nics.map((nic) =>
    nic.interfaceId === interfaceId ? { ...nic, phase, mac, ipv4 } : nic,
  );
  const changed = { ...state, nics };
  if (isCleaning(state)) return clean(changed, turn);
  if (phase === 'error') {
    const why = message.failure ?? failure('object/wrong-phase', 'an interface failed');
    return fail(changed, why, turn);
  }
  return advance(changed, turn);
}

function artifactChanged(
  state: State,
  message: Extract<InstanceMessage, { kind: 'artifact-changed' }>,
  turn: Turn,
): Step<State> {
  if (state.phase !== 'preflight') return next(state);
  const { artifactId, blobId } = message;
  if (blobId === null) return imageFailed(state, message.failure?.reason ?? 'no version', turn);
  const disks = state.disks.map((disk) =>
    disk.artifactId === artifactId && disk.blobId === null ? { ...disk, blobId } : disk,
  );
  return next({ ...state, disks });
}

function blobChanged(
  state: State,
  message: Extract<InstanceMessage, { kind: 'blob-changed' }>,
  turn: Turn,
): Step<State> {
  if (state.phase !== 'preflight') return next(state);
  if (message.phase === 'error') {
    return imageFailed(state, message.failure?.reason ?? 'unknown', turn);
  }
  const disks = state.disks.map((disk) =>
    disk.blobId === message.blobId ? { ...disk, isReady: true } : disk,
  );
  return advance({ ...state, disks }, turn);
}

function imageFailed(state: State, reason: string, turn: Turn): Step<State> {
  return fail(state, failure('image/missing', `Image fetch failed: ${reason}`), turn);
}

/** Moves on from preflight once images and interfaces are there. */
function advance(state: State, turn: Turn): Step<State> {
  const isReady =
    state.disks.every((disk) => disk.isReady) && state.nics.every((nic) => nic.phase === 'created');
  if (state.phase !== 'preflight' || !isReady) return next(state);
  const started = { power: 'on', powerOns: 1, generation: 1 } as const;
  return next({ ...state, ...started, phase: 'creating', sinceMs: turn.now }, [
    {
      type: 'status',
      message: 'images and networks are ready, building',
      durationMs: turn.now - state.sinceMs,
    },
  ]);
}

function effectFailed(
  state: State,
  message: Extract<KernelMessage, { kind: 'effect-failed' }>,
  turn: Turn,
): Step<State> {
  const { effect, code, reason } = message;
  if (isCleaning(state)) return next(state);
  // A new generation makes it try again: the wish stands as long as the instance does.
  if (state.phase === 'created') {
    return next({ ...state, generation: state.generation + 1 }, [
      { type: 'status', message: `${effect} failed, trying again`, extra: { code, reason } },
    ]);
  }
  return fail(state, failure(code, reason), turn);
}

function timeReached(state: State, turn: Turn): Step<State> {
  if (isForgettable(state, turn.now)) return next({ ...state, forgetting: true });
  const late = passing(state);
  if (late === null || late.deadlineAtMs > turn.now || isCleaning(state)) return next(state);
  return fail(state, failure('object/deadline', `${late.reason} took too long`), turn);
}

function effects(state: State): Wanted<InstanceEffect>[] {
  if (isCleaning(state)) return [cleaningEffect(state)];
  if (state.phase === 'initial') return [{ name: initialEffect(state), key: '' }];
  if (state.phase === 'preflight') {
    return [
      { name: 'request-images', key: state.disks.map((disk) => disk.blobId ?? '').join() },
      { name: 'place-interfaces', key: state.node ?? '' },
    ];
  }
  if (state.phase === 'creating' || state.phase === 'created') {
    return [{ name: 'sync-domain', key: String(state.generation) }];
  }
  return state.forgetting ? [{ name: 'forget', key: '' }] : [];
}

function initialEffect(state: State): InstanceEffect {
  if (state.nics.some((nic) => nic.phase === 'none')) return 'create-interfaces';
  return state.node === null ? 'place' : 'start-preflight';
}

/** Given back in the order of dependence: the domain uses taps and disks, taps use addresses, disks use blobs. */
function cleaningEffect(state: State): Wanted<InstanceEffect> {
  if (state.node !== null && !state.isDomainGone) return { name: 'remove-domain', key: '' };
  if (state.nics.some((nic) => nic.phase !== 'deleted'))
    return { name: 'delete-interfaces', key: '' };
  return { name: 'release-images', key: '' };
}

function passing(state: State): Passing<InstanceMessage> | null {
  const patienceMs = DEADLINE_MS[state.phase];
  if (patienceMs === undefined) return null;
  const deadlineAtMs = state.sinceMs + patienceMs;
  return {
    reason: reasonOf(state),
    sinceMs: state.sinceMs,
    deadlineAtMs,
    cancel: { kind: 'delete' },
  };
}

function reasonOf(state: State): string {
  if (isCleaning(state)) return `giving back: ${cleaningEffect(state).name}`;
  if (state.phase === 'creating') return 'the node builds disks, taps and the domain';
  if (state.phase === 'initial') return 'reserving addresses and choosing a node';
  const images = state.disks.filter((disk) => !disk.isReady).length;
  const nics = state.nics.filter((nic) => nic.phase !== 'created').length;
  return `waiting for ${images} images and ${nics} interfaces`;
}

export const instance = defineKind<State, InstanceMessage, InstanceEffect>({
  kind: 'instance',
  placement: 'sharded',
  initial,
  decodeMessage: decodeInstanceMessage,
  transition,
  effects,
  policies: {
    'create-interfaces': PROMPT,
    place: PROMPT,
    'start-preflight': PROMPT,
    'request-images': PATIENT,
    'place-interfaces': PATIENT,
    'sync-domain': BUILDING,
    'remove-domain': STANDING,
    'delete-interfaces': STANDING,
    'release-images': STANDING,
    forget: STANDING,
  },
  passing,
  timer: forgetAtMs,
  index: (state) =>
    state.phase === 'deleted' ? null : { namespace: state.namespace, name: state.name },
  onCrash: restartThenPark,
  parked: crashed,
  snapshot: {
    schema: 1,
    decode: decoder('instance', InstanceState, 'actor/bad-snapshot'),
    migrations: {},
  },
});
