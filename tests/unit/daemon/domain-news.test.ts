// News of domains reach their instances, however long that takes.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { DomainReport } from '../../../actors/instance/ports.ts';
import { TroupeError, type ErrorCode } from '../../../actors/kernel/errors.ts';
import type { AskReply, Router } from '../../../actors/kernel/ports.ts';
import { DomainNews } from '../../../src/daemon/domain-news.ts';
import { keptLog, ManualClock, seededRandom } from '../../support/kernel.ts';

const test = suite('domain news');
const ON = { offReason: null, consolePort: 1, vdiPort: 2, vdiTlsPort: null, accelerator: 'tcg' };

function reportOf(power: 'on' | 'off'): DomainReport {
  return { ...ON, power, accelerator: 'tcg' };
}

/** Asks fail with what is given, one after the other, and are answered after that. */
function made({ failures = [] as ErrorCode[], isSpokenOf = true } = {}) {
  const clock = new ManualClock();
  const told: string[] = [];
  let listener: (id: string, report: DomainReport) => void = () => {};
  const ask: Router['ask'] = async (to, message): Promise<AskReply> => {
    const { observed } = message as unknown as { observed: DomainReport };
    told.push(`${to.id} ${observed.power}`);
    const code = failures.shift();
    if (code !== undefined) throw new TroupeError(code, 'bad luck');
    return { value: null, revision: 0 };
  };
  const news = new DomainNews({
    hypervisor: {
      onChange(next) {
        listener = next;
        return () => (listener = () => {});
      },
    },
    executors: { generationOf: () => (isSpokenOf ? 7 : undefined) },
    router: { ask },
    clock,
    random: seededRandom(1),
    log: keptLog().log,
  });
  return { clock, told, news, hear: (id: string, report: DomainReport) => listener(id, report) };
}

test('what cannot be delivered is told again until the instance has heard', async () => {
  const failures: ErrorCode[] = ['shard/not-owner', 'mesh/unreachable', 'store/unavailable'];
  const { clock, told, hear } = made({ failures });
  hear('vm', reportOf('off'));
  await clock.advance(60_000);
  assert.equal(told, Array(4).fill('vm off'));
  assert.is(clock.pending, 0);
});

test('the newest is told, also when it comes while an older one is under way', async () => {
  const { clock, told, hear } = made({ failures: ['mesh/unreachable'] });
  hear('vm', reportOf('off'));
  hear('vm', reportOf('on'));
  await clock.advance(60_000);
  assert.equal(told, ['vm off', 'vm on']);
});

test('an instance that is gone, or will never take it, is not told again', async () => {
  for (const code of ['object/not-found', 'actor/crashed'] as const) {
    const { clock, told, hear } = made({ failures: [code] });
    hear('vm', reportOf('off'));
    await clock.advance(60_000);
    assert.equal(told, ['vm off'], code);
  }
});

test('a domain of which no actor has ever spoken is news to nobody', async () => {
  const { clock, told, hear } = made({ isSpokenOf: false });
  hear('vm', reportOf('off'));
  await clock.advance(60_000);
  assert.equal(told, []);
});

test('after stop nothing is told and no timer is left', async () => {
  const { clock, told, news, hear } = made({ failures: ['mesh/unreachable'] });
  hear('vm', reportOf('off'));
  await clock.advance(0);
  news.stop();
  hear('vm', reportOf('on'));
  assert.is(clock.pending, 0);
  await clock.advance(60_000);
  assert.equal(told, ['vm off']);
});

test.run();
