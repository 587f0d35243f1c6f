// The owner's mark in a domain's `<metadata>`: one element in a namespace of ours, its fields attributes.
import type { DomainMetadata } from './domain-spec.ts';
import { clientError } from './errors.ts';
import { childOf } from './xml-reader.ts';
import { element, renderXml, type XmlElement } from './xml.ts';

/** For DomainCalls.setMetadata(). */
export const METADATA_URI = 'urn:troupe:domain:1';
export const METADATA_PREFIX = 'troupe';
const DECLARATION = `xmlns:${METADATA_PREFIX}`;
const FIELD = /^[A-Za-z][A-Za-z0-9-]*$/;

/** The mark as it stands below `<metadata>`. Refuses field names that are no plain words. */
export function metadataXml(metadata: DomainMetadata): XmlElement {
  check(metadata);
  return element(`${METADATA_PREFIX}:domain`, { [DECLARATION]: METADATA_URI, ...metadata });
}

/** The mark for DomainCalls.setMetadata(), where libvirt adds prefix and namespace itself. */
export function buildMetadataXml(metadata: DomainMetadata): string {
  check(metadata);
  return renderXml(element('domain', metadata));
}

/** The mark below `<metadata>`, or undefined when there is none of ours. */
export function readMetadata(parent: XmlElement | undefined): DomainMetadata | undefined {
  const mark = childOf(parent, `${METADATA_PREFIX}:domain`);
  if (mark?.attributes[DECLARATION] !== METADATA_URI) return undefined;
  const { [DECLARATION]: _declaration, ...fields } = mark.attributes;
  return fields;
}

function check(metadata: DomainMetadata): void {
  for (const name of Object.keys(metadata)) {
    if (!FIELD.test(name)) throw clientError('invalid-value', `metadata field '${name}'`);
  }
}
