// The whole of a configuration, put together from its parts.

import { readComponents } from './components.ts';
import type { Catalogue, Config, PipelineConfig } from './config.ts';
import type { Findings } from './findings.ts';
import { checkQueues } from './queues.ts';
import { checkReferences } from './references.ts';
import { type Service, serviceSchema } from './service.ts';
import { directoryOf, type Source, startOf } from './source.ts';
import { isEmpty, type MapTree, mapTree } from './tree.ts';
import { validate } from './validate.ts';
import { didYouMean } from './words.ts';

export type Reading = { readonly findings: Findings; readonly first: Source };

/** Undefined when something is wrong with it. */
export function readWhole(
  root: MapTree,
  catalogue: Catalogue,
  reading: Reading,
): Config | undefined {
  const { findings, first } = reading;
  checkTopLevel(root, catalogue, findings);
  const instances = readComponents(root, catalogue, findings);
  const service = readService(root, reading);
  checkReferences({ root, catalogue }, startOf(first), findings);
  checkQueues(root, findings);
  if (service === undefined || findings.hasErrors) return undefined;
  const { pipelines, extensions: _, ...rest } = service;
  return Object.freeze({
    ...instances,
    pipelines: Object.entries(pipelines).map(([id, lists]) => ({ id, ...distinct(lists) })),
    service: Object.freeze(rest),
    file: first.file,
    baseDirectory: directoryOf(first),
  });
}

function readService(root: MapTree, { findings, first }: Reading): Service | undefined {
  const entry = root.entries.get('service');
  const key = entry?.key ?? startOf(first);
  const tree = entry === undefined || isEmpty(entry.value) ? mapTree(key) : entry.value;
  const read = validate({ tree, schema: serviceSchema, path: 'service', key }, findings);
  return read?.value as Service | undefined;
}

const distinct = (lists: Service['pipelines'][string]): Omit<PipelineConfig, 'id'> => ({
  receivers: [...new Set(lists.receivers)],
  processors: lists.processors,
  exporters: [...new Set(lists.exporters)],
});

const topLevel = ['receivers', 'processors', 'exporters', 'service', 'extensions', 'connectors'];

function checkTopLevel(root: MapTree, catalogue: Catalogue, findings: Findings): void {
  const sections = ['receivers', 'processors', 'exporters'] as const;
  for (const [name, { key }] of root.entries) {
    if (topLevel.includes(name)) continue;
    const type = name.replace(/\/.*$/, '');
    const section = sections.find((candidate) => Object.hasOwn(catalogue[candidate], type));
    let hint = didYouMean(name, topLevel);
    if (Object.hasOwn(serviceSchema.shape, name)) hint = '; it belongs under service';
    else if (hint === '' && section !== undefined) hint = `; it belongs under ${section}`;
    findings.problem(key, `unknown field${hint}`, name);
  }
}
