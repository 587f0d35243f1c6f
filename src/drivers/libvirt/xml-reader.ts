// A strict reader for the XML that libvirt writes: elements, attributes, text, references, comments,
// CDATA, processing instructions. Not for XML of strangers' making, and safe against it all the same.
//
// R1  No document type, no entities but the five of XML and numbers: nothing can be pulled in or blown up.
// R2  Depth is limited; the text is walked once, forwards.
// R3  Anything else than a single well-formed element throws `malformed` with the place.
import { clientError } from './errors.ts';
import type { XmlElement, XmlNode } from './xml.ts';

const MAX_DEPTH = 64;
const NAME = /[A-Za-z_][\w.:-]*/y;
const SPACE = /\s*/y;
/** Every &, with the reference that it starts, if it starts one. */
const REFERENCE = /&(?:#(\d{1,7});|#x([0-9a-fA-F]{1,6});|(\w+);)?/g;
const ENTITIES: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
};
/** What may stand between elements and is skipped: opening and closing marks. */
const SKIPPED = [
  ['<?', '?>'],
  ['<!--', '-->'],
] as const;

/** The root element of a document. */
export function parseXml(text: string): XmlElement {
  const parser = new Parser(text);
  return parser.document();
}

/** The first child element of this name. */
export function childOf(parent: XmlElement | undefined, name: string): XmlElement | undefined {
  return parent === undefined ? undefined : childrenOf(parent, name)[0];
}

/** All child elements of this name, in order. */
export function childrenOf(parent: XmlElement, name: string): readonly XmlElement[] {
  return parent.children.filter(
    (node): node is XmlElement => typeof node !== 'string' && node.name === name,
  );
}

/** The element below by a path of names, the first at each step. */
export function descend(
  root: XmlElement | undefined,
  ...path: readonly string[]
): XmlElement | undefined {
  return path.reduce<XmlElement | undefined>((at, name) => childOf(at, name), root);
}

/** The element's own text. */
export function textOf(at: XmlElement | undefined): string | undefined {
  return at?.children.filter((node) => typeof node === 'string').join('');
}

class Parser {
  readonly #text: string;
  #offset = 0;

  constructor(text: string) {
    this.#text = text;
  }

  document(): XmlElement {
    this.#skipMisc();
    const root = this.#element(0);
    this.#skipMisc();
    if (this.#offset < this.#text.length) throw this.#wrong('something after the root element');
    return root;
  }

  #element(depth: number): XmlElement {
    if (depth > MAX_DEPTH) throw this.#wrong(`elements nested deeper than ${MAX_DEPTH}`);
    this.#expect('<');
    const name = this.#name();
    const attributes = this.#attributes();
    if (this.#take('/>')) return { name, attributes, children: [] };
    this.#expect('>');
    const children = this.#content(depth);
    this.#expect(`</${name}`);
    this.#match(SPACE);
    this.#expect('>');
    return { name, attributes, children };
  }

  #attributes(): Record<string, string> {
    const attributes: Record<string, string> = {};
    for (;;) {
      const spaced = this.#match(SPACE) !== '';
      if (this.#at('>') || this.#at('/>')) return attributes;
      if (!spaced) throw this.#wrong('no space before an attribute');
      const name = this.#name();
      if (Object.hasOwn(attributes, name)) throw this.#wrong(`attribute ${name} twice`);
      this.#match(SPACE);
      this.#expect('=');
      this.#match(SPACE);
      // Own keys only: an attribute called __proto__ stays an attribute.
      Object.defineProperty(attributes, name, { value: this.#quoted(), enumerable: true });
    }
  }

  #quoted(): string {
    const quote = this.#take('"') ? '"' : "'";
    if (quote === "'") this.#expect(quote);
    const raw = this.#upTo(quote);
    if (raw.includes('<')) throw this.#wrong('< in an attribute');
    return this.#resolve(raw);
  }

  #content(depth: number): XmlNode[] {
    const nodes: XmlNode[] = [];
    while (!this.#at('</')) {
      if (this.#skip()) continue;
      if (this.#take('<![CDATA[')) nodes.push(this.#upTo(']]>'));
      else if (this.#at('<')) nodes.push(this.#element(depth + 1));
      else nodes.push(this.#characters());
    }
    return nodes;
  }

  #characters(): string {
    const end = this.#text.indexOf('<', this.#offset);
    if (end < 0) throw this.#wrong('the end inside an element');
    const raw = this.#text.slice(this.#offset, end);
    this.#offset = end;
    return this.#resolve(raw);
  }

  #resolve(raw: string): string {
    return raw.replaceAll(REFERENCE, (...found: string[]) => this.#reference(found));
  }

  #reference([whole = '', decimal, hexadecimal, entity]: readonly (string | undefined)[]): string {
    if (entity !== undefined) {
      const character = ENTITIES[entity];
      if (character === undefined) throw this.#wrong(`entity ${whole}`);
      return character;
    }
    if (whole === '&') throw this.#wrong('an & that starts no reference');
    const code = decimal === undefined ? parseInt(hexadecimal ?? '', 16) : Number(decimal);
    if (!(code <= 0x10ffff)) throw this.#wrong(`character ${whole}`);
    return String.fromCodePoint(code);
  }

  #skipMisc(): void {
    do this.#match(SPACE);
    while (this.#skip());
  }

  /** Skips one comment or processing instruction, if there is one here. */
  #skip(): boolean {
    for (const [open, close] of SKIPPED) {
      if (!this.#take(open)) continue;
      this.#upTo(close);
      return true;
    }
    return false;
  }

  #name(): string {
    const name = this.#match(NAME);
    if (name === '') throw this.#wrong('no name');
    return name;
  }

  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#offset;
    const [found = ''] = pattern.exec(this.#text) ?? [];
    this.#offset += found.length;
    return found;
  }

  #at(mark: string): boolean {
    return this.#text.startsWith(mark, this.#offset);
  }

  #take(mark: string): boolean {
    const is = this.#at(mark);
    if (is) this.#offset += mark.length;
    return is;
  }

  #expect(mark: string): void {
    if (!this.#take(mark)) throw this.#wrong(`no '${mark}'`);
  }

  #upTo(mark: string): string {
    const end = this.#text.indexOf(mark, this.#offset);
    if (end < 0) throw this.#wrong(`no '${mark}'`);
    const found = this.#text.slice(this.#offset, end);
    this.#offset = end + mark.length;
    return found;
  }

  #wrong(what: string): Error {
    return clientError('malformed', `XML cannot be read: ${what} at character ${this.#offset}`);
  }
}
