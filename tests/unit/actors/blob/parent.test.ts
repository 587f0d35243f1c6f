// What a thin snapshot is read through: transitions.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { blob } from '../../../../actors/blob/blob.ts';
import { parentOf } from '../../../../actors/blob/parent.ts';
import { PHASES } from '../../../../actors/blob/phases.ts';
import type { BlobMessage, BlobState } from '../../../../actors/blob/state.ts';
import { stepper, walk, type Pick } from '../random-walk.ts';
import { CONTENT } from '../../../support/blob-content.ts';

const test = suite('blobs that depend on another');

const CREATE = {
  kind: 'create',
  source: { kind: 'spool', id: 'child', dependsOn: 'base' },
  node: 'n1',
  user: 'artifact/a',
} as const;
const content = {
  ...CONTENT,
  virtualSizeBytes: 512,
  dependsOn: 'base',
} as const;
const changed = (blobId: string, phase: 'created' | 'error' = 'created'): BlobMessage => {
  return { kind: 'blob-changed', blobId, phase, failure: null, virtualSizeBytes: 1 };
};

test('its parent is held before its bytes are kept', () => {
  const one = stepper(blob).send(CREATE);
  assert.equal(one.effects, ['hold-parent']);
  one.send({ kind: 'parent-held' });
  assert.equal(one.effects, ['fetch']);
  assert.is(one.try(changed('base')).reply, true, 'and uses it');
});

test('one whose parent is gone fails with the reason', () => {
  const one = stepper(blob).send(CREATE).fail('image/refused', 'blob base is gone');
  assert.equal([one.state.phase, one.state.failure?.reason], ['error', 'blob base is gone']);
});

test('what becomes of the parent changes nothing; it is used until the replicas are gone', () => {
  const one = stepper(blob).send(CREATE).send({ kind: 'parent-held' });
  one.send({ kind: 'fetched', content });
  assert.is(one.try(changed('base', 'error')).reply, true);
  assert.is(one.try(changed('stranger')).reply, false);
  one.send({ kind: 'unuse', user: 'artifact/a' });
  assert.is(one.try(changed('base')).reply, true, 'replicas may be there yet');
  one.send({ kind: 'replicas-removed', generation: one.state.generation });
  assert.is(one.try(changed('base')).reply, false);
});

test('the others are read by themselves', () => {
  const { dependsOn: _, ...source } = CREATE.source;
  const one = stepper(blob).send({ ...CREATE, source });
  assert.equal([parentOf(one.state), one.effects], [null, ['fetch']]);
});

function message(pick: Pick, { generation }: BlobState): BlobMessage {
  const user = pick('artifact/a', 'instance/vm', 'blob/grandchild');
  return pick<BlobMessage>(
    CREATE,
    { kind: 'parent-held' },
    { kind: 'fetched', content },
    { kind: 'need', user, node: pick('n1', 'n2'), forDisk: true },
    { kind: 'unuse', user },
    { kind: 'delete' },
    changed('base', pick('created', 'error')),
    { kind: 'replicas-removed', generation },
    { kind: 'forgotten' },
  );
}

test('under random messages it is not fetched before its parent is held', () => {
  const rest = ['none', 'created', 'error', 'deleted'] as const;
  const check = (state: BlobState) => {
    const isFetched = blob.effects(state).some(({ name }) => name === 'fetch');
    assert.ok(!isFetched || state.isParentHeld);
  };
  walk({ kind: blob, phases: PHASES, rest, message, check }, { seeds: 100, steps: 200 });
});

test.run();
