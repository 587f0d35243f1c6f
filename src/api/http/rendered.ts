// Views as JSON text, made once for each revision of what they show: most of what a read costs is making the text.
//
// D1  A text is kept for as long as the object that it shows, as read from the store, is the current one: objects of the
//     read model are replaced, never changed.
// D2  What else a view shows is compared by identity; a view may show nothing that is not in its parts.
import type { Json } from '../../../actors/kernel/json.ts';
import type { Answer } from './route.ts';

interface Text {
  readonly parts: readonly object[];
  readonly text: string;
}

export class Rendered<O extends object> {
  readonly #texts = new WeakMap<O, Text>();
  readonly #parts: (object: O) => readonly object[];
  readonly #view: (object: O) => Json;

  /** `parts`: everything besides the object itself that its view is made from. */
  constructor(view: (object: O) => Json, parts: (object: O) => readonly object[] = () => []) {
    this.#view = view;
    this.#parts = parts;
  }

  one(object: O): Answer {
    return { kind: 'rendered', text: this.#text(object) };
  }

  list(objects: readonly O[]): Answer {
    return { kind: 'rendered', text: `[${objects.map((one) => this.#text(one)).join(',')}]` };
  }

  #text(object: O): string {
    const parts = this.#parts(object);
    const known = this.#texts.get(object);
    if (known !== undefined && isSame(known.parts, parts)) return known.text;
    const text = JSON.stringify(this.#view(object));
    this.#texts.set(object, { parts, text });
    return text;
  }
}

function isSame(before: readonly object[], now: readonly object[]): boolean {
  return before.length === now.length && before.every((part, index) => part === now[index]);
}
