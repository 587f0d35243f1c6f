// Who gets which address: what holds of every history of reservations and releases.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  HALO_MS,
  ownReservations,
  release,
  reserve,
  type Reservations,
} from '../../../../actors/network/addressing.ts';
import { contains, parseNetblock } from '../../../../actors/network/netblock.ts';
import { seededRandom } from '../../../support/kernel.ts';

const test = suite('addressing');
const block = parseNetblock('10.0.0.0/28');
const random = () => 0.5;

const asked = (owner: string, address: string | null = null) => {
  return { owner, user: ['instance', owner], type: 'instance', address } as const;
};

function granted(before: Reservations, owner: string, now: number, address: string | null = null) {
  const result = reserve(block, before, asked(owner, address), { now, random });
  if (!result.ok) throw new Error(result.reason);
  return result;
}

test('network, router and broadcast address are taken from the start; 13 of a /28 are left', () => {
  let held = ownReservations(block, 'net', 0);
  assert.equal(Object.keys(held), ['10.0.0.0', '10.0.0.1', '10.0.0.15']);
  for (let index = 0; index < 13; index++) held = granted(held, `vm${index}`, 0).reservations;
  const full = reserve(block, held, asked('one too many'), { now: 0, random });
  assert.equal(full, {
    ok: false,
    code: 'network/no-free-address',
    reason: 'No free addresses on network',
  });
});

test('who asks again gets the same address, whatever is asked for', () => {
  const first = granted({}, 'a', 0);
  const again = granted(first.reservations, 'a', 5_000, '10.0.0.9');
  assert.is(again.address, first.address);
  assert.is(again.reservations, first.reservations);
});

test('an address asked for is given when it is free and inside', () => {
  const own = ownReservations(block, 'net', 0);
  assert.is(granted(own, 'a', 0, '10.0.0.7').address, '10.0.0.7');
  const rows: readonly (readonly [string, string, string])[] = [
    ['10.0.0.0', 'network/address-in-use', 'address 10.0.0.0 in use'],
    ['10.0.0.1', 'network/address-in-use', 'address 10.0.0.1 in use'],
    ['10.0.0.15', 'network/address-in-use', 'address 10.0.0.15 in use'],
    [
      '10.0.1.1',
      'network/address-outside',
      '10.0.1.1 is outside 10.0.0.0/28; choose an address in it',
    ],
    [
      'nonsense',
      'network/address-outside',
      'nonsense is outside 10.0.0.0/28; choose an address in it',
    ],
    [
      '__proto__',
      'network/address-outside',
      '__proto__ is outside 10.0.0.0/28; choose an address in it',
    ],
  ];
  for (const [address, code, reason] of rows) {
    const result = reserve(block, own, asked('b', address), { now: 0, random });
    assert.equal(result, { ok: false, code, reason }, address);
  }
});

test('a released address rests for five minutes, also when it is asked for', () => {
  const held = granted({}, 'a', 0, '10.0.0.7').reservations;
  const resting = release(held, 'a', 1_000);
  assert.equal(resting['10.0.0.7']?.user, null);
  const tooSoon = { now: 1_000 + HALO_MS - 1, random };
  assert.not(reserve(block, resting, asked('b', '10.0.0.7'), tooSoon).ok);
  const later = { now: 1_000 + HALO_MS, random };
  assert.ok(reserve(block, resting, asked('b', '10.0.0.7'), later).ok);
});

test('a full block gives again what has rested half a minute', () => {
  let held: Reservations = ownReservations(block, 'net', 0);
  for (let index = 0; index < 13; index++) held = granted(held, `vm${index}`, 0).reservations;
  held = release(held, 'vm3', 10_000);
  assert.not(reserve(block, held, asked('new'), { now: 39_999, random }).ok);
  assert.is(granted(held, 'new', 40_000).address, addressOf(held, null));
});

function addressOf(held: Reservations, owner: string | null): string | undefined {
  return Object.entries(held).find(([, one]) => one.owner === owner)?.[0];
}

test('with random histories no address ever has two holders, and none is given within its rest', () => {
  for (let seed = 1; seed <= 300; seed++) history(seed);
});

/** Reservations and releases as they come, against a plain list of who holds what. */
function history(seed: number): void {
  const dice = seededRandom(seed);
  const random = () => dice.number();
  const plain = new PlainList();
  let held: Reservations = ownReservations(block, 'net', 0);
  let now = 0;
  for (let step = 0; step < 200; step++) {
    now += Math.floor(random() * 20_000);
    const owner = `vm${Math.floor(random() * 18)}`;
    if (random() < 0.4) {
      held = release(held, owner, now);
      plain.release(owner, now);
      continue;
    }
    const result = reserve(block, held, asked(owner), { now, random });
    const where = `seed ${seed} step ${step}`;
    if (!result.ok) assert.is(result.code, 'network/no-free-address', where);
    if (!result.ok) continue;
    held = result.reservations;
    plain.grant(owner, result.address, now, where);
  }
}

class PlainList {
  readonly #addressOf = new Map<string, string>();
  readonly #releasedAtMs = new Map<string, number>();

  release(owner: string, now: number): void {
    const address = this.#addressOf.get(owner);
    if (address !== undefined) this.#releasedAtMs.set(address, now);
    this.#addressOf.delete(owner);
  }

  grant(owner: string, address: string, now: number, where: string): void {
    const mine = this.#addressOf.get(owner);
    if (mine !== undefined) return assert.is(address, mine, where);
    assert.ok(contains(block, address), where);
    assert.not([...this.#addressOf.values()].includes(address), `${where}: it has two holders`);
    const restedMs = now - (this.#releasedAtMs.get(address) ?? -HALO_MS);
    assert.ok(restedMs >= 30_000, `${where}: rested ${restedMs} ms`);
    this.#addressOf.set(owner, address);
  }
}

test.run();
