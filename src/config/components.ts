// The sections receivers, processors and exporters: each entry against the schema of its type.

import {
  type Catalogue,
  type Config,
  type Described,
  type Instance,
  type Kind,
  kinds,
  sectionOf,
} from './config.ts';
import type { Findings } from './findings.ts';
import { foreignTypes } from './foreign.ts';
import { type Id, parseId } from './id.ts';
import { positionOf } from './source.ts';
import { type Entry, entriesAt, isEmpty, type MapTree, mapTree, toValue } from './tree.ts';
import { validate } from './validate.ts';
import { didYouMean, shown } from './words.ts';

type Instances = Pick<Config, 'receivers' | 'processors' | 'exporters'>;

export function readComponents(root: MapTree, catalogue: Catalogue, findings: Findings): Instances {
  const read = (kind: Kind): Instance[] => readSection(root, { kind, catalogue }, findings);
  return {
    receivers: read('receiver'),
    processors: read('processor'),
    exporters: read('exporter'),
  };
}

type Section = { readonly kind: Kind; readonly catalogue: Catalogue };

function readSection(root: MapTree, section: Section, findings: Findings): Instance[] {
  const name = sectionOf(section.kind);
  const entry = root.entries.get(name);
  if (entry !== undefined && entry.value.kind !== 'map' && !isEmpty(entry.value)) {
    const message = `expected a map of ${name}, got ${shown(toValue(entry.value))}`;
    findings.add({ place: entry.key, path: name, severity: 'error', message });
  }
  return entriesAt(root, [name]).flatMap(([id, component]) => {
    const instance = readInstance([id, component], section, findings);
    return instance === undefined ? [] : [instance];
  });
}

function readInstance(
  [text, { key, value }]: [string, Entry],
  section: Section,
  findings: Findings,
): Instance | undefined {
  const path = `${sectionOf(section.kind)}.${text}`;
  const id = parseId(text);
  const described = 'why' in id ? undefined : typeOf(id, section);
  if ('why' in id || described === undefined) {
    const message = 'why' in id ? id.why : unknownType(id, section);
    findings.add({ place: key, path, severity: 'error', message });
    return undefined;
  }
  const tree = isEmpty(value) ? mapTree(key) : value;
  const read = validate({ tree, schema: described.config, path, key }, findings);
  if (read === undefined) return undefined;
  const position = { file: key.source.file, ...positionOf(key.source, key.start) };
  return Object.freeze({
    kind: section.kind,
    ...id,
    config: read.value,
    raw: toValue(tree),
    position,
  });
}

function typeOf({ type }: Id, { kind, catalogue }: Section): Described | undefined {
  const types = catalogue[sectionOf(kind)];
  return Object.hasOwn(types, type) ? types[type] : undefined;
}

/** The Collector's words, and what was probably meant. */
function unknownType({ id, type }: Id, { kind, catalogue }: Section): string {
  const known = Object.keys(catalogue[sectionOf(kind)]).sort();
  const others = kinds.filter((other) => Object.hasOwn(catalogue[sectionOf(other)], type));
  const instead = Object.hasOwn(foreignTypes, type) ? foreignTypes[type] : undefined;
  let hint = didYouMean(type, known);
  if (others.length > 0) hint = `; "${type}" belongs under ${others.map(sectionOf).join(' or ')}`;
  else if (instead !== undefined) hint = `; here it is ${instead}`;
  return `unknown type: "${type}" for id: "${id}"${hint} (valid values: [${known.join(' ')}])`;
}
