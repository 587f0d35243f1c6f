import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isLibvirtError } from '../../../../src/drivers/libvirt/errors.ts';
import { element, renderXml } from '../../../../src/drivers/libvirt/xml.ts';
import { childOf, descend, parseXml, textOf } from '../../../../src/drivers/libvirt/xml-reader.ts';
import { seeded } from './seeded.ts';

const test = suite('xml');

const malformed = (error: unknown) => isLibvirtError(error, 'malformed');

test('attributes and text are escaped, undefined attributes and children left out', () => {
  const tree = element('a', { b: `<'"&>`, none: undefined, n: 1 }, 'x < y', undefined, false);
  assert.is(renderXml(tree), '<a b="&lt;&apos;&quot;&amp;&gt;" n="1">x &lt; y</a>');
});

test('line ends and tabs survive a reader because they are written as references', () => {
  assert.is(renderXml(element('a', { b: '\t\n\r' })), '<a b="&#9;&#10;&#13;"/>');
});

test('characters that XML cannot carry are refused with their place', () => {
  for (const bad of [
    '\0',
    '\u0007',
    '\u000b',
    '\u001f',
    '\ud800',
    'a\udc00b',
    '\ufffe',
    '\uffff',
  ]) {
    const refuse = () => renderXml(element('name', {}, bad));
    assert.throws(refuse, (error: unknown) => isLibvirtError(error, 'invalid-value'));
    assert.throws(() => renderXml(element('a', { b: bad })), /a\/@b: XML cannot carry .* U\+/);
  }
});

test('hostile values round-trip through the reader, as text and as attribute', () => {
  const random = seeded(31);
  for (let round = 0; round < 2000; round++) {
    const value = random.text(30);
    const root = parseXml(renderXml(element('r', {}, element('c', { v: value }, value))));
    assert.is(childOf(root, 'c')?.attributes['v'], value, `attribute ${JSON.stringify(value)}`);
    assert.is(textOf(childOf(root, 'c')), value, `text ${JSON.stringify(value)}`);
  }
});

test('comments, declarations, CDATA and references are read as XML says', () => {
  const root = parseXml(
    `<?xml version='1.0'?><!-- a > b --><a x='1"2'><!-- <b/> --><b>&#65;&#x42;<![CDATA[<&>]]></b ></a>\n`,
  );
  assert.is(root.attributes['x'], '1"2');
  assert.is(textOf(descend(root, 'b')), 'AB<&>');
});

test('a path that is not there is undefined at every step', () => {
  const root = parseXml('<a><b/></a>');
  assert.is(descend(root, 'b', 'c', 'd'), undefined);
  assert.is(textOf(descend(root, 'c')), undefined);
  assert.is(textOf(descend(root, 'b')), '');
});

test('what is not one well-formed element is malformed', () => {
  const bad = [
    '',
    'text',
    '<a>',
    '<a></b>',
    '<a/><b/>',
    '<a/>x',
    '<a b=1/>',
    '<a b="1" b="2"/>',
    '<a b="1"c="2"/>',
    '<a b="<"/>',
    '<a>&nbsp;</a>',
    '<a>& </a>',
    '<a>&amp</a>',
    '<a>&#1114112;</a>',
    '<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>',
    '<a><!-- </a>',
    '<a><![CDATA[</a>',
    '< a/>',
  ];
  for (const text of bad) assert.throws(() => parseXml(text), malformed, text);
});

test('deep nesting is refused before the stack is', () => {
  const deep = 100_000;
  const text = '<a>'.repeat(deep) + '</a>'.repeat(deep);
  assert.throws(() => parseXml(text), malformed);
});

test('every prefix of a document is malformed', () => {
  const text = `<?xml version="1.0"?><a b="c"><d>e &amp; f</d><!-- g --><h/></a>`;
  for (let size = 0; size < text.length; size++) {
    assert.throws(() => parseXml(text.slice(0, size)), malformed, text.slice(0, size));
  }
});

test('an attribute called __proto__ is an attribute', () => {
  const { attributes } = parseXml('<a __proto__="x"/>');
  assert.is(Object.getOwnPropertyDescriptor(attributes, '__proto__')?.value, 'x');
  assert.is(Object.getPrototypeOf(attributes), Object.prototype);
});

test.run();
