// Collections against the simplest model of one: a list that is searched.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import { Collection, type ReadKind, type ReadObject } from '../../../src/read/collection.ts';
import { seededRandom } from '../../support/kernel.ts';

const test = suite('read collection');

interface Pet {
  readonly namespace: string;
  readonly name: string;
  readonly colour: string | null;
  readonly isGone: boolean;
}

const pets: ReadKind<Pet> = {
  kind: 'pet',
  index: ({ namespace, name, isGone }) => (isGone ? null : { namespace, name }),
  snapshot: {
    schema: 1,
    decode: (value) => {
      if (typeof value === 'object' && value !== null && 'name' in value) return value as Pet;
      throw new TroupeError('actor/bad-snapshot', 'no pet');
    },
    migrations: {},
  },
};

function makeCollection() {
  const unreadable: string[] = [];
  const collection = new Collection(pets, (id) => void unreadable.push(id), {
    colour: (pet) => pet.colour,
  });
  return { collection, unreadable };
}

function stored(state: unknown) {
  return { schema: 1, state };
}

function ids(objects: Iterable<ReadObject<Pet>>): string[] {
  return [...objects].map(({ id }) => id).sort();
}

const TEXTS = ['', 'a', 'b', 'a/b', '/', '1:a', 'ab', '__proto__'];

test('after any history each index finds what a search of all objects finds', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = seededRandom(seed);
    const pick = <T>(from: readonly T[]) => from[Math.floor(random.number() * from.length)] as T;
    const { collection } = makeCollection();
    const model = new Map<string, Pet>();
    for (let step = 0; step < 400; step++) {
      const id = String(Math.floor(random.number() * 30));
      const dice = random.number();
      const pet = {
        namespace: pick(TEXTS),
        name: pick(TEXTS),
        colour: pick([null, ...TEXTS]),
        isGone: dice < 0.2,
      };
      if (dice > 0.995) {
        collection.clear();
        model.clear();
      } else if (dice > 0.9) {
        collection.apply(id, null, step);
        model.delete(id);
      } else if (dice > 0.85) {
        collection.apply(id, stored('no pet'), step);
        model.delete(id);
      } else {
        collection.apply(id, stored(pet), step);
        model.set(id, pet);
      }
      if (step % 20 === 0) compare(collection, model, `seed ${seed}, step ${step}`);
    }
  }
});

function compare(
  collection: Collection<Pet, 'colour'>,
  model: ReadonlyMap<string, Pet>,
  about: string,
): void {
  const where = (holds: (pet: Pet) => boolean) =>
    [...model]
      .filter(([, pet]) => holds(pet))
      .map(([id]) => id)
      .sort();
  assert.equal(
    ids(collection.all()),
    where(() => true),
    about,
  );
  assert.is(collection.size, model.size, about);
  for (const text of TEXTS) {
    assert.equal(
      ids(collection.inNamespace(text)),
      where((pet) => pet.namespace === text),
      about,
    );
    assert.equal(
      ids(collection.named(text, null)),
      where((pet) => !pet.isGone && pet.name === text),
      about,
    );
    assert.equal(
      ids(collection.by('colour', text)),
      where((pet) => pet.colour === text),
      about,
    );
    for (const namespace of TEXTS) {
      const found = ids(collection.named(text, namespace));
      const isIt = (pet: Pet) => !pet.isGone && pet.name === text && pet.namespace === namespace;
      assert.equal(found, where(isIt), `${about}: ${namespace} ${text}`);
    }
  }
}

test('an object that cannot be read is left out and reported, and comes back when it can', () => {
  const { collection, unreadable } = makeCollection();
  const pet = { namespace: 'a', name: 'rex', colour: null, isGone: false };
  collection.apply('1', stored(pet), 1);
  collection.apply('1', { schema: 2, state: pet }, 2);
  assert.is(collection.get('1'), undefined);
  assert.equal(collection.named('rex', 'a'), []);
  assert.equal(unreadable, ['1']);
  collection.apply('1', stored(pet), 3);
  assert.is(collection.get('1')?.revision, 3);
});

test('an unknown key finds nothing', () => {
  const { collection } = makeCollection();
  assert.equal(collection.by('colour', 'constructor'), []);
  assert.equal(collection.named('toString', null), []);
});

test.run();
