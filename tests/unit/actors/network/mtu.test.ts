import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { codeOf } from '../../../../actors/kernel/errors.ts';
import { segmentMtu } from '../../../../actors/network/mtu.ts';

const test = suite('mtu');

test('a segment takes 50 bytes less than the link between the machines', () => {
  assert.is(segmentMtu(1500), 1450);
  assert.is(segmentMtu(9000), 8950);
  assert.is(segmentMtu(1330), 1280);
  assert.is(segmentMtu(65_571), 65_521);
});

test('an MTU that leaves guests too little, or more than a tap can carry, is refused with the bounds', () => {
  for (const underlay of [1329, 576, 0, -1, 65_572, 1500.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    try {
      segmentMtu(underlay);
      assert.unreachable(String(underlay));
    } catch (error) {
      assert.is(codeOf(error), 'config/invalid');
      assert.match(String(error), /from 1330 to 65571/);
    }
  }
});

test.run();
