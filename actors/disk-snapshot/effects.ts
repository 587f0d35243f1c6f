// What a disk snapshot does to others: is taken in by its instance, has the node copy the disks, gives the copies to the
// artifacts, and says how it ended. Every step may be repeated.
import { codeOf, CODES, isErrorCode, reasonOf, TroupeError, unlessGone } from '../kernel/errors.ts';
import type { EffectContext, Performers } from '../kernel/ports.ts';
import { received, Type } from '../kernel/schema.ts';
import { artifactRef, type ArtifactMessage } from '../artifact/state.ts';
import { instanceRef } from '../instance/state.ts';
import { decodeProgress } from '../node/disk-copying.ts';
import { machineRef } from '../node/machine-message.ts';
import { snapshotUrl, type SnapshotDisk } from './devices.ts';
import type { DiskSnapshotEffect } from './disk-snapshot.ts';
import type { DiskSnapshotMessage, DiskSnapshotState as State } from './state.ts';

type Context = EffectContext<DiskSnapshotMessage>;

/** How long the machine keeps an ask waiting, and by when it has to have answered. */
export const PROGRESS_WAIT_MS = 10_000;
const ASK_MS = 25_000;
/** Pauses between asks grow to ten seconds: about five minutes without an answer. */
const UNANSWERED = 35;
/** How often a copy that came to nothing for a passing reason is begun again. */
const TRIES = 8;

const decodeNode = received('node of an instance', Type.String());

export function diskSnapshotPerformers(): Performers<
  State,
  DiskSnapshotMessage,
  DiskSnapshotEffect
> {
  return {
    enlist: async (state, context) => {
      for (const disk of state.disks) {
        await context.ask(artifactRef(disk.artifactId), artifactOf(state, disk));
      }
      const snapshotId = context.self.id;
      const message = { kind: 'enlist-snapshot', snapshotId, answer: answerOf(state) } as const;
      const node = await context.ask(instanceRef(state.instanceId), message);
      return { kind: 'enlisted', node: decodeNode(node) };
    },
    copy,
    keep: async (state, context) => {
      for (const { artifactId, blobId, baseBlobId } of state.disks) {
        const thin = baseBlobId === undefined ? {} : { dependsOn: baseBlobId };
        const source = { kind: 'spool', id: blobId, ...thin } as const;
        const addition = { blobId, source, node: state.node };
        const message = { kind: 'add-version', addition } as const;
        await context.ask(artifactRef(artifactId), message).catch((error: unknown) => {
          if (!isRefused(error)) throw error;
          // The artifact was deleted meanwhile: nobody wants the copy. The others are none the worse for it.
          context.tell(machineRef(state.node ?? ''), { kind: 'spool-remove', id: blobId });
        });
      }
      return { kind: 'kept' };
    },
    settle,
    clear: async (state, context) => {
      const { node, phase, disks } = state;
      // What has become of the copies of one that is complete is their artifacts' to see to.
      const blobIds = phase === 'complete' ? [] : disks.map(({ blobId }) => blobId);
      const message = { kind: 'end-copy-disks', snapshotId: context.self.id, blobIds } as const;
      if (node !== null) await context.ask(machineRef(node), message);
      return { kind: 'cleared' };
    },
    forget: () => Promise.resolve({ kind: 'forgotten' }),
  };
}

/** What makes the artifact that a disk's copy is to be a version of, unless it is there. */
export function artifactOf(
  { namespace, instanceId, maxVersions }: Pick<State, 'namespace' | 'instanceId' | 'maxVersions'>,
  { device }: { readonly device: string },
): Extract<ArtifactMessage, { kind: 'found' }> {
  const name = `${instanceId}/${device}`;
  const named = { type: 'snapshot', name, namespace } as const;
  const sourceUrl = snapshotUrl(instanceId, device);
  return { kind: 'found', ...named, sourceUrl, shared: false, maxVersions };
}

function isRefused(error: unknown): boolean {
  return codeOf(error) === 'object/wrong-phase' || codeOf(error) === 'object/not-found';
}

/** What the API answers to the request; the instance keeps it as an event (contract: artifacts 10.1). */
export function answerOf({
  instanceId,
  disks,
}: Pick<State, 'instanceId' | 'disks'>): Record<string, Record<string, string>> {
  return Object.fromEntries(
    disks.map(({ device, artifactId, blobId }) => [
      device,
      {
        source_url: snapshotUrl(instanceId, device),
        artifact_uuid: artifactId,
        blob_uuid: blobId,
      },
    ]),
  );
}

/** As the node is told. */
function wantedDisk({ device, blobId, baseBlobId }: State['disks'][number]): SnapshotDisk {
  return { device, blobId, ...(baseBlobId === undefined ? {} : { baseBlobId }) };
}

/** Asks again and again until it is over: a large disk takes its time. */
async function copy(state: State, context: Context): Promise<DiskSnapshotMessage> {
  const { instanceId, node } = state;
  const snapshotId = context.self.id;
  const disks = state.disks.map(wantedDisk);
  const message = { kind: 'copy-disks', snapshotId, instanceId, disks } as const;
  for (let failures = 0; ;) {
    const asked = heard(context, () => context.ask(machineRef(node ?? ''), message, ASK_MS));
    const { failure, ...progress } = decodeProgress(await asked);
    if (failure === null) {
      if (progress.step === 'done') return { kind: 'copied' };
      context.report({ kind: 'progressed', ...progress });
    } else if (++failures >= TRIES || !isPassing(failure.code)) {
      return { kind: 'copy-failed', ...failure };
    } else {
      const fields = { code: failure.code, reason: failure.reason, failures };
      context.log('warn', 'copying disks is begun again', fields);
      await pause(context, failures * 1_000);
    }
  }
}

/** A full disk does not empty by itself; who has called it off has done so. */
function isPassing(code: string): boolean {
  return isErrorCode(code) && code !== 'host/disk-full' && CODES[code].retry !== 'never';
}

function pause({ clock, signal }: Context, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      timer.cancel();
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = clock.after(ms, end);
    signal.addEventListener('abort', end, { once: true });
  });
}

async function heard<T>({ attempt }: Context, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (attempt < UNANSWERED || codeOf(error) === 'actor/stopped') throw error;
    const reason = `its node has not answered for long: ${reasonOf(error)}`;
    throw new TroupeError('guest/lost', reason, {}, error);
  }
}

async function settle(state: State, context: Context): Promise<DiskSnapshotMessage> {
  const { phase, failure, instanceId, disks, askedAtMs, sinceMs } = state;
  if (phase === 'error') {
    const { code, reason } = failure ?? { code: 'actor/crashed', reason: 'it has failed' };
    for (const { artifactId, blobId } of disks) {
      const message = { kind: 'version-failed', blobId, code, reason } as const;
      await unlessGone(context.ask(artifactRef(artifactId), message));
    }
  }
  const over = {
    kind: 'snapshot-over',
    snapshotId: context.self.id,
    failure: phase === 'error' ? failure : null,
    devices: disks.map(({ device }) => device),
    durationMs: sinceMs - askedAtMs,
  } as const;
  await unlessGone(context.ask(instanceRef(instanceId), over));
  return { kind: 'settled' };
}
