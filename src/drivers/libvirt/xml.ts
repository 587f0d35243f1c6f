// XML as a tree of elements, and the one way from there to text. Everything that a caller gives ends up
// in an attribute or in text, and is escaped here.
//
// M1  What XML 1.0 cannot carry (control characters, half surrogate pairs) is refused, not dropped.
// M2  Line ends and tabs are written as references, because a reader turns them into spaces otherwise.
import { clientError } from './errors.ts';

export interface XmlElement {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: readonly XmlNode[];
}
export type XmlNode = XmlElement | string;

/** Attribute values; numbers are written as they are, and left out when undefined. */
export type XmlAttributes = Readonly<Record<string, string | number | undefined>>;
/** Children; undefined and false ones are left out, so that `condition && element(…)` reads well. */
export type XmlChild = XmlNode | undefined | false;

/** An element. `name` and the attributes' names come from code, never from a caller's values. */
export function element(
  name: string,
  attributes: XmlAttributes = {},
  ...children: readonly XmlChild[]
): XmlElement {
  const kept: Record<string, string> = {};
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined) kept[key] = String(value);
  }
  return { name, attributes: kept, children: children.filter(isNode) };
}

/** The element as text, escaped. Refuses (`invalid-value`) what XML cannot carry (M1). */
export function renderXml({ name, attributes, children }: XmlElement): string {
  const head = Object.entries(attributes)
    .map(([key, value]) => ` ${key}="${escape(value, `${name}/@${key}`)}"`)
    .join('');
  if (children.length === 0) return `<${name}${head}/>`;
  const body = children.map((node) =>
    typeof node === 'string' ? escape(node, name) : renderXml(node),
  );
  return `<${name}${head}>${body.join('')}</${name}>`;
}

function isNode(child: XmlChild): child is XmlNode {
  return child !== undefined && child !== false;
}

const REFERENCES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
  '\t': '&#9;',
  '\n': '&#10;',
  '\r': '&#13;',
};
/** Outside of XML 1.0's Char production. Surrogates only match when they are not a pair (flag u). */
// oxlint-disable-next-line no-control-regex -- control characters are what this looks for
const FORBIDDEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ud800-\udfff\ufffe\uffff]/u;

function escape(value: string, place: string): string {
  const forbidden = FORBIDDEN.exec(value)?.[0];
  if (forbidden !== undefined) {
    const code = (forbidden.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0');
    throw clientError('invalid-value', `${place}: XML cannot carry the character U+${code}`);
  }
  return value.replaceAll(/[&<>"'\t\n\r]/g, (character) => REFERENCES[character] ?? character);
}
