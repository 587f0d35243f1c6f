// Group commit on a real etcd: many actors, some of them on an epoch that is no longer theirs, over a
// link that loses answers. Every outcome that was told must be what the store holds.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { systemClock } from '../../../actors/kernel/clock.ts';
import { GroupCommit } from '../../../transport/store/group-commit.ts';
import type { Compare } from '../../../transport/store/store.ts';
import { inLab, timed } from './fault-lab.ts';
import { bytes } from './harness.ts';

const test = suite('etcd group commit');

test('a thousand changes of two shards: those of the lost shard are refused, the others packed', () =>
  inLab(async ({ store, direct }) => {
    const guard = (key: string, than: number): Compare => ({
      target: 'create',
      key,
      is: '==',
      than,
    });
    const mine = guard('/owners/1', await direct.put('/owners/1', bytes('me')));
    const lost = guard('/owners/2', await direct.put('/owners/2', bytes('me')));
    await direct.delete('/owners/2');
    await direct.put('/owners/2', bytes('the next one'));
    const commits = new GroupCommit({ store, clock: systemClock });
    const codes = await Promise.all(
      Array.from({ length: 1_000 }, async (_, i) => {
        const put = { op: 'put', key: `/o/${i}`, value: bytes(String(i)) } as const;
        const outcome = await timed(commits.commit({ guards: [i % 2 ? mine : lost], ops: [put] }));
        return outcome.code;
      }),
    );
    assert.ok(codes.every((code, i) => code === (i % 2 ? 'ok' : 'store/conflict')));
    const { entries } = await direct.range({ prefix: '/o/' });
    assert.is(entries.length, 500);
    assert.ok(commits.transactions < 40, `${commits.transactions} transactions`);
  }));

test('while the link breaks again and again: ok is there once, conflict is not, only ambiguous may be', () =>
  inLab(async ({ link, store, direct }) => {
    await store.get('/warm');
    const commits = new GroupCommit({ store, clock: systemClock });
    const told = new Map<string, { code: string; ambiguous: unknown }>();
    let isBreaking = true;
    const actor = async (name: string) => {
      for (let i = 0; isBreaking; i++) {
        const key = `/o/${name}/${i}`;
        const guards: Compare[] = [{ target: 'create', key, is: '==', than: 0 }];
        const ops = [{ op: 'put', key, value: bytes('v') } as const];
        told.set(key, await timed(commits.commit({ guards, ops })));
      }
    };
    const actors = Promise.all(Array.from({ length: 50 }, (_, i) => actor(String(i))));
    for (let i = 0; i < 12; i++) {
      await new Promise((resolve) => setTimeout(resolve, 60));
      if (i % 4 === 3) link.mute();
      else link.drop();
    }
    isBreaking = false;
    await actors;
    const { entries } = await direct.range({ prefix: '/o/' });
    const versions = new Map(entries.map(({ key, version }) => [key, version]));
    let unknown = 0;
    for (const [key, { code, ambiguous }] of told) {
      const version = versions.get(key);
      if (code === 'ok') assert.is(version, 1, key);
      else if (ambiguous === true) unknown++;
      else assert.is(version, undefined, `${key}: ${code}`);
    }
    assert.ok(unknown > 0, 'no answer was lost');
    assert.ok([...told.values()].filter(({ code }) => code === 'ok').length > 500);
  }));

test.run();
