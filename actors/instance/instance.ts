// A virtual machine, from the wish to the running domain and back.
//
// initial     interfaces are made and reserve their addresses, then a node is chosen
// preflight   images are brought to the node, interfaces join their networks there
// creating    the node's executor builds disks, taps and the domain
// created     built and started; the power state is another matter (state.power, state.observed)
// X-error     failed in phase X: everything is given back, then `error`; but one that ran and crashed
//             (`created-error`) keeps what it has until it is deleted
// delete-wait everything is given back, then `deleted`
//
// I1  A step of building that fails, fails the instance; what must be so in the end (the running domain, the
//     clean-up) is tried again for ever, with a setback that says why.
// I2  Other actors are answered whether the instance still wants what they tell of, so that nothing is kept
//     for it that it has forgotten.
import {
  defineKind,
  isLate,
  next,
  refuse,
  restartThenPark,
  PATIENT,
  PROMPT,
  STANDING,
} from '../kernel/kind.ts';
import type { EffectPolicy, KernelMessage, Step, Turn } from '../kernel/kind.ts';
import { failure, isForgettable, newLife } from '../kernel/object.ts';
import { withMetadata } from '../kernel/metadata.ts';
import { decoder } from '../kernel/schema.ts';
import { INSISTENT, isWanted, setBack, timerOf, tryAgain } from '../kernel/setback.ts';
import { clean, isCleaning, startCleaning } from './clean.ts';
import { crashed, fail } from './fail.ts';
import { advance, imageNews, goneNic, imageFailed, interfaceChanged } from './needs.ts';
import { attachmentChanged } from './attachments.ts';
import { nodeGone, sawNode } from './node-seen.ts';
import { plug } from './plug.ts';
import { account, claimsPlace } from './place.ts';
import { domainObserved, setPower } from './power.ts';
import { scheduled } from './scheduled.ts';
import {
  decodeInstanceMessage,
  InstanceState,
  type InstanceMessage,
  type InstanceState as State,
} from './state.ts';
import { effects, passing, templateOf, type InstanceEffect } from './wanted.ts';

const BUILDING_PHASES: readonly State['phase'][] = ['initial', 'preflight', 'creating'];

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
  below: [],
  isTemplateReady: true,
  nics: [],
  node: null,
  nodeBoot: null,
  power: 'off',
  powerOns: 0,
  hardReboots: 0,
  softReboots: 0,
  generation: 0,
  observedGeneration: 0,
  builtDisks: [],
  observed: null,
  lostAtMs: [],
  isDomainGone: false,
  areImagesReleased: false,
  operations: [],
  screenshots: [],
  snapshots: [],
  setback: null,
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
    case 'create':
      return create(state, message, turn);
    case 'interface-changed':
      return interfaceChanged(state, message, turn);
    case 'placed':
    case 'unplaceable':
      return scheduled(state, message, turn);
    case 'claims-place':
      return next(state, [], claimsPlace(state, message.node));
    case 'account-for':
      return account(state, message.node);
    case 'preflight-started':
      return preflightStarted(state, turn);
    case 'artifact-changed':
    case 'blob-changed':
    case 'blob-progressed':
      return imageNews(state, message, turn);
    case 'domain-observed':
      return domainObserved(state, message, turn);
    case 'plug':
      return plug(state, message.nic);
    case 'set-power':
      return setPower(state, message.action, turn);
    case 'enlist':
    case 'operation-ready':
    case 'operation-started':
    case 'operation-over':
    case 'operations-dropped':
    case 'keep-screenshot':
    case 'screenshots-dropped':
    case 'enlist-snapshot':
    case 'snapshot-over':
    case 'snapshots-dropped':
      return clearedAway(attachmentChanged(state, message, turn), turn);
    case 'node-seen':
      return sawNode(state, message);
    case 'node-gone':
      return nodeGone(state, message.node, turn);
    case 'domain-removed':
    case 'interfaces-gone':
    case 'images-released':
      return clean(givenBack(state, message.kind), state, turn);
    case 'delete':
      return startCleaning(state, turn);
    case 'forgotten':
      return next(state.forgetting ? null : state);
    case 'effect-failed':
    case 'time-reached':
      return kernelSays(state, message, turn);
  }
}

function kernelSays(state: State, message: KernelMessage, turn: Turn): Step<State> {
  if (message.kind === 'effect-failed') return effectFailed(state, message, turn);
  return timeReached(state, turn);
}

function givenBack(state: State, what: 'domain-removed' | 'interfaces-gone' | 'images-released') {
  switch (what) {
    case 'domain-removed':
      return { isDomainGone: true, observed: null };
    case 'interfaces-gone':
      return { nics: state.nics.map(goneNic) };
    case 'images-released':
      return { areImagesReleased: true };
  }
}

function preflightStarted(state: State, turn: Turn): Step<State> {
  if (state.phase !== 'initial' || state.node === null) return next(state);
  return advance({ ...state, phase: 'preflight', sinceMs: turn.now }, turn);
}

/** What was cleared away may have been the last that an instance that goes had. */
function clearedAway(step: Step<State>, turn: Turn): Step<State> {
  const { state, reply } = step;
  if (state === null || !isCleaning(state) || step.refusal !== null) return step;
  return { ...clean({}, state, turn), reply };
}

function create(
  state: State,
  message: Extract<InstanceMessage, { kind: 'create' }>,
  turn: Turn,
): Step<State> {
  if (state.phase !== 'none') return next(state);
  const { kind: _, ...asked } = message;
  const extra = { cpus: asked.cpus, memory: asked.memoryMiB };
  const isTemplateReady = templateOf(asked) === null;
  return next({ ...state, ...asked, isTemplateReady, phase: 'initial', sinceMs: turn.now }, [
    { type: 'audit', message: 'created instance', extra },
  ]);
}

function effectFailed(
  state: State,
  message: Extract<KernelMessage, { kind: 'effect-failed' }>,
  turn: Turn,
): Step<State> {
  if (!isWanted(effects(state), message)) return next(state);
  const { effect, code, reason } = message;
  if (!BUILDING_PHASES.includes(state.phase)) return setBack(state, message, turn);
  if (effect === 'request-images') return imageFailed(state, { code, reason }, turn);
  return fail(state, failure(code, reason), turn);
}

function timeReached(state: State, turn: Turn): Step<State> {
  if (isForgettable(state, turn.now)) return next({ ...state, forgetting: true, setback: null });
  const late = passing(state);
  if (isLate(late, turn.now) && !isCleaning(state)) {
    return fail(state, failure('object/deadline', `${late.reason} took too long`), turn);
  }
  return next(tryAgain(state, turn.now));
}

/** No disk started from anything but its blob, and no NVRAM from any. */
function withTranscodes(old: unknown): unknown {
  const { disks, ...rest } = old as { readonly disks: readonly object[] };
  const known = disks.map((disk) => ({ ...disk, transcodeId: null }));
  return { ...rest, disks: known, isTemplateReady: true };
}

export const instance = withMetadata(
  defineKind<State, InstanceMessage, InstanceEffect>({
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
      'remove-domain': INSISTENT,
      'delete-interfaces': INSISTENT,
      'release-images': INSISTENT,
      'start-operation': STANDING,
      'drop-operations': STANDING,
      'drop-screenshots': STANDING,
      'drop-snapshots': STANDING,
      forget: STANDING,
    },
    passing,
    timer: timerOf,
    index: (state) =>
      state.phase === 'deleted' ? null : { namespace: state.namespace, name: state.name },
    onCrash: restartThenPark,
    parked: crashed,
    snapshot: {
      schema: 5,
      decode: decoder('instance', InstanceState, 'actor/bad-snapshot'),
      migrations: {
        1: (state) => ({ ...(state as object), nodeBoot: null, observedGeneration: 0 }),
        2: (state) => ({ ...(state as object), operations: [], screenshots: [] }),
        3: (state) => ({ ...(withTranscodes(state) as object), snapshots: [] }),
        // Disks were based on what is read by itself.
        4: (state) => ({ ...(state as object), below: [] }),
      },
    },
  }),
);
