// Promises about blobs at rest: what refers to one finds it, and what a blob takes for its users refers to it.
import type { ArtifactState } from '../../../actors/artifact/state.ts';
import { isGood } from '../../../actors/blob/copies.ts';
import { parentOf } from '../../../actors/blob/parent.ts';
import type { BlobState } from '../../../actors/blob/state.ts';
import type { InstanceState } from '../../../actors/instance/state.ts';
import { parseAddress } from '../../../actors/kernel/kind.ts';
import type { Checked } from './promises.ts';

/** 4: what refers to a blob finds it, with a good copy; where disks are based on it, on that machine. What counts is there. */
export function checkBlobs(checked: Checked): void {
  const { site, nodes, watch } = checked;
  const { view } = site;
  const holders = (blobId: string) =>
    nodes.filter(({ machine }) => machine.images.replicas.has(blobId)).map(({ name }) => name);
  for (const [id, { phase, versions }] of view.all<ArtifactState>('artifact')) {
    if (phase !== 'created') continue;
    for (const { blobId } of versions) {
      const state = view.stateOf<BlobState>('blob', blobId)?.phase ?? 'absent';
      if (state !== 'created' || holders(blobId).length === 0)
        watch.broken(4, `blob/${blobId}`, `artifact ${id} has it; ${state}, no good copy`);
    }
  }
  for (const [id, { phase, replicas }] of view.all<BlobState>('blob')) {
    if (phase !== 'created') continue;
    for (const { name } of nodes) {
      const copy = replicas[name];
      if (copy !== undefined && isGood(copy) && !holders(id).includes(name))
        watch.broken(4, `blob/${id}`, `counts on the copy of ${name}, which has none`);
    }
  }
  for (const [id, { phase, node, disks }] of view.all<InstanceState>('instance')) {
    if (phase !== 'created' || node === null) continue;
    for (const { blobId } of disks)
      if (blobId !== null && !holders(blobId).includes(node))
        watch.broken(4, `blob/${blobId}`, `instance ${id} on ${node} has lost its base`);
  }
  checkReferences(checked);
  checkFiles(checked);
}

/** The other way round: no machine has a file that no blob knows of there. */
function checkFiles({ site: { view }, nodes, watch }: Checked): void {
  for (const { name, machine } of nodes)
    for (const blobId of machine.images.replicas.keys()) {
      const { phase = 'absent', replicas = {} } = view.stateOf<BlobState>('blob', blobId) ?? {};
      if (phase === 'deleted' || replicas[name] === undefined)
        watch.broken(4, `blob/${blobId}`, `${name} has a file of it; ${phase}, no copy is known`);
    }
}

/** 4 and 6: no blob is counted on by who does not have it, nor kept for nobody. */
function checkReferences({ site: { view }, watch }: Checked): void {
  for (const [id, state] of view.all<BlobState>('blob')) {
    if (state.phase !== 'created') continue;
    if (state.users.length === 0) watch.broken(6, `blob/${id}`, 'is kept, and nobody uses it');
    for (const user of state.users)
      if (!referredBy(view, user).includes(id))
        watch.broken(6, `blob/${id}`, `is kept for ${user}, which does not refer to it`);
    for (const other of belowBlob(state)) {
      const used = view.stateOf<BlobState>('blob', other);
      if (used?.phase !== 'created' || !used.users.includes(`blob/${id}`))
        watch.broken(4, `blob/${other}`, `blob ${id} is read through it; ${used?.phase}`);
    }
  }
}

function belowBlob(state: BlobState): string[] {
  const { transcode } = state;
  const made = transcode?.phase === 'created' ? [transcode.blobId] : [];
  return [...made, parentOf(state) ?? []].flat();
}

/** The blobs that something refers to now. */
function referredBy(view: Checked['site']['view'], user: string): string[] {
  const { kind, id } = parseAddress(user) ?? { kind: '', id: '' };
  if (kind === 'artifact') {
    const state = view.stateOf<ArtifactState>('artifact', id);
    return state?.phase === 'created' ? state.versions.map(({ blobId }) => blobId) : [];
  }
  if (kind === 'blob') {
    const state = view.stateOf<BlobState>('blob', id);
    return state === undefined ? [] : belowBlob(state);
  }
  const state = view.stateOf<InstanceState>(kind, id);
  if (kind !== 'instance' || state === undefined || state.areImagesReleased) return [];
  const disks = state.disks.flatMap(({ blobId, transcodeId }) => [blobId ?? [], transcodeId ?? []]);
  const below = state.below.map(({ blobId }) => blobId);
  return [...disks.flat(), ...below, ...state.screenshots];
}
