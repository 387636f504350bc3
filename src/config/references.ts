// What is named under `service` has to be configured: the Collector's rules, in its words, each at its place.

import { type Catalogue, type Kind, kinds, sectionOf } from './config.ts';
import type { Findings } from './findings.ts';
import { builtIn } from './foreign.ts';
import { parseId } from './id.ts';
import type { Place } from './source.ts';
import { type Entry, entriesAt, isEmpty, type Tree, treeAt } from './tree.ts';
import { didYouMean } from './words.ts';

type Whole = { readonly root: Tree; readonly catalogue: Catalogue };

/** `start`: where to point when a section is missing. */
export function checkReferences(whole: Whole, start: Place, findings: Findings): void {
  const { root } = whole;
  checkExtensions(root, findings);
  for (const kind of ['receiver', 'exporter'] as const) {
    if (!isLacking(treeAt(root, [sectionOf(kind)]))) continue;
    findings.problem(start, `no ${kind} configuration specified in config`);
  }
  const service = treeAt(root, ['service']);
  if (
    isLacking(service) ||
    (service?.kind === 'map' && isLacking(treeAt(service, ['pipelines'])))
  ) {
    findings.problem(start, 'service must have at least one pipeline', 'service::pipelines');
  }
  for (const [id, entry] of entriesAt(root, ['service', 'pipelines'])) {
    const why = pipelineIdFault(id);
    if (why !== undefined) findings.problem(entry.key, why, 'service::pipelines');
    for (const kind of kinds) checkList(whole, { id, entry, kind }, findings);
  }
}

/** Not there or without an entry; something else than a map is another matter, and said elsewhere. */
const isLacking = (tree: Tree | undefined): boolean =>
  tree === undefined || isEmpty(tree) || (tree.kind === 'map' && tree.entries.size === 0);

function pipelineIdFault(id: string): string | undefined {
  const parsed = parseId(id);
  if ('why' in parsed) return parsed.why;
  if (parsed.type === 'logs') return undefined;
  const other = ['traces', 'metrics', 'profiles'].includes(parsed.type);
  const meant = didYouMean(parsed.type, ['logs']) || `; did you mean "logs/${parsed.type}"?`;
  return `unknown signal "${parsed.type}"${other ? '; meshlog carries logs' : meant}`;
}

type List = { readonly id: string; readonly entry: Entry; readonly kind: Kind };

function checkList(whole: Whole, { id, entry, kind }: List, findings: Findings): void {
  const path = `service::pipelines::${id}`;
  const list = treeAt(entry.value, [sectionOf(kind)]);
  // Something else than a list is the schema's affair.
  if (list !== undefined && list.kind !== 'list' && !isEmpty(list)) return;
  const items = list?.kind === 'list' ? list.items : [];
  if (items.length === 0 && kind !== 'processor') {
    findings.problem(
      list?.kind === 'list' ? list.place : entry.key,
      `must have at least one ${kind}`,
      path,
    );
  }
  const seen = new Set<string>();
  for (const item of items) {
    if (item.kind !== 'scalar' || typeof item.value !== 'string') continue;
    const name = item.value;
    const again = seen.has(name);
    seen.add(name);
    const guess = again ? undefined : guessIfMissing(whole, kind, name);
    if (guess !== undefined) {
      findings.problem(
        item.place,
        `references ${kind} "${name}" which is not configured${guess}`,
        path,
      );
    } else if (again && kind === 'processor') {
      findings.problem(item.place, `references processor "${name}" multiple times`, path);
    } else if (again) {
      findings.warning(
        item.place,
        `references ${kind} "${name}" multiple times; once counts`,
        path,
      );
    }
  }
}

/** Undefined: it is configured. Otherwise what was probably meant, or an empty text. */
function guessIfMissing({ root, catalogue }: Whole, kind: Kind, id: string): string | undefined {
  const ids = entriesAt(root, [sectionOf(kind)]).map(([name]) => name);
  if (ids.includes(id)) return undefined;
  if (treeAt(root, ['connectors', id]) !== undefined) {
    return ': connectors are not supported; several pipelines may share a receiver instead';
  }
  const elsewhere = kinds.find((other) => treeAt(root, [sectionOf(other), id]) !== undefined);
  if (elsewhere !== undefined) return `; "${id}" is configured under ${sectionOf(elsewhere)}`;
  const named = ids.find((other) => other.startsWith(`${id}/`) || id.startsWith(`${other}/`));
  if (named !== undefined) return `; did you mean "${named}"?`;
  const known = Object.hasOwn(catalogue[sectionOf(kind)], id);
  return known ? `; add "${id}:" under ${sectionOf(kind)}` : didYouMean(id, ids);
}

function checkExtensions(root: Tree, findings: Findings): void {
  const ids: string[] = [];
  for (const [id, { key }] of entriesAt(root, ['extensions'])) {
    ids.push(id);
    const where = builtIn[id.replace(/\/.*$/, '')];
    const instead = where === undefined ? 'meshlog has no extensions' : `built in: ${where}`;
    findings.warning(key, `not used; ${instead}`, `extensions.${id}`);
  }
  for (const [id, { key }] of entriesAt(root, ['connectors'])) {
    const message =
      'not used; connectors are not supported, several pipelines may share a receiver';
    findings.warning(key, message, `connectors.${id}`);
  }
  const named = treeAt(root, ['service', 'extensions']);
  for (const item of named?.kind === 'list' ? named.items : []) {
    if (item.kind !== 'scalar' || ids.includes(String(item.value))) continue;
    const message = `references extension "${item.value}" which is not configured`;
    findings.problem(
      item.place,
      message + didYouMean(String(item.value), ids),
      'service::extensions',
    );
  }
}
