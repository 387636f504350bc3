// One part of the configuration against its schema: the typed value, or everything that is wrong with it.

import { placeInScalar } from './expand.ts';
import type { Findings } from './findings.ts';
import { type Fault, faultsOf, parseOptions } from './issues.ts';
import {
  alternatives,
  childFields,
  type Field,
  fieldsAt,
  isMapField,
  type Schema,
  wantsText,
} from './schema.ts';
import type { Place } from './source.ts';
import { suggestion } from './suggest.ts';
import {
  entryAt,
  mapTree,
  type Path,
  placeAt,
  replaceAt,
  type Tree,
  toValue,
  treeAt,
} from './tree.ts';
import { withoutWarnings } from './warning.ts';

export type Part = {
  readonly tree: Tree;
  readonly schema: Schema;
  /** What stands before the fields' paths in messages: `processors.sample`. */
  readonly path: string;
  /** Where to point when the part itself is at fault: its key. */
  readonly key: Place;
};

const repairRoundsMax = 50;

/** The value, frozen; undefined when something is wrong, which is then among the findings. */
export function validate(part: Part, findings: Findings): { value: unknown } | undefined {
  hideSecrets(part.tree, alternatives(part.schema), findings);
  const first = parseRepaired(part);
  report(part, first.faults, findings);
  const warned = first.faults.every(({ warning }) => warning);
  const { faults, value } = first.faults.length > 0 && warned ? parseMuted(part) : first;
  if (faults !== first.faults) report(part, faults, findings);
  return faults.length > 0 ? undefined : { value: freezeAlong(value, part.tree) };
}

type Parsed = { readonly value?: unknown; readonly faults: readonly Fault[] };

function parseRepaired(part: Part): Parsed {
  for (let round = 1; ; round++) {
    const parsed = parse(part);
    let repaired = false;
    for (const fault of parsed.faults) {
      if (repair(part, fault)) repaired = true;
    }
    if (!repaired || round === repairRoundsMax) return parsed;
  }
}

/** Where there are only warnings: once more without them, for the value and for what comes after them. */
function parseMuted(part: Part): Parsed {
  return withoutWarnings(() => {
    const parsed = parse(part);
    if (parsed.faults.some(({ warning }) => !warning)) return parsed;
    if (parsed.faults.length === 0) return parsed;
    // A warning that was raised by hand, not by `warn`: zod has the value all the same.
    const payload = { value: toValue(part.tree), issues: [] };
    const { value } = part.schema._zod.run(payload, { async: false }) as { value: unknown };
    return { value, faults: [] };
  });
}

function parse(part: Part): Parsed {
  try {
    const result = part.schema.safeParse(toValue(part.tree), parseOptions);
    return result.success
      ? { value: result.data, faults: [] }
      : { faults: faultsOf(result.error.issues, subjectOf(part)) };
  } catch (error) {
    // A component's own check failed in a way it did not foresee: that is a problem of this part, not of all.
    const message = `cannot be checked: ${(error as Error).message}`;
    return { faults: [{ kind: 'custom', path: [], message, warning: false }] };
  }
}

const subjectOf = ({ schema, tree }: Part) => ({
  schema,
  spelling(path: Path): string | undefined {
    const found = treeAt(tree, path);
    if (found === undefined || found.text !== undefined) return found?.text;
    return found.place.source.text.slice(found.place.start, found.place.end);
  },
});

/**
 * Two things are forgiven, because the schema cannot know of them: a variable's value that YAML reads as a number
 * where text is wanted, and a key without a value. True when the value changed and is worth another look.
 */
function repair(part: Part, fault: Fault): boolean {
  const { tree, schema } = part;
  const found = treeAt(tree, fault.path);
  if (found === undefined) return false;
  const entry = entryAt(tree, fault.path);
  const empty = found.kind === 'scalar' && found.value === null;
  const fields = fieldsAt(schema, fault.path);
  if (fault.kind === 'missing' && empty && entry?.absent && found.text !== undefined) {
    return wantsText(fields) && useText(tree, fault.path, found);
  }
  if (fault.kind !== 'mismatch') return false;
  if (empty && entry !== undefined && !entry.absent) {
    const wantsMap = fields.some((field) => field.required && isMapField(field));
    if (wantsMap) return replaceAt(tree, fault.path, mapTree(found.place));
    entry.absent = true;
    return true;
  }
  const alreadyText = found.kind === 'scalar' && typeof found.value === 'string';
  if (found.text === undefined || alreadyText || !wantsText(fields)) return false;
  return useText(tree, fault.path, found);
}

function useText(tree: Tree, path: Path, { text = '', place }: Tree): boolean {
  return replaceAt(tree, path, { kind: 'scalar', value: text, text, place });
}

function report(part: Part, faults: readonly Fault[], findings: Findings): void {
  const meant = new Set<string>();
  for (const fault of faults) {
    if (fault.kind !== 'unknown') continue;
    const suggested = suggestion(part.schema, fault.path);
    const entry = entryAt(part.tree, fault.path);
    if (suggested.meant !== undefined) {
      meant.add(pathText(part, suggested.meant));
      meant.add(pathText(part, suggested.meant.slice(0, -1)));
      if (entry) hideSecrets(entry.value, fieldsAt(part.schema, suggested.meant), findings);
    }
    const place = entry?.key ?? part.key;
    findings.problem(place, fault.message + suggested.text, pathText(part, fault.path));
  }
  for (const { kind, path, offset, message, warning } of faults) {
    const text = pathText(part, path);
    // A field under a slip of its name is not missing.
    if (kind === 'unknown' || (kind === 'missing' && meant.has(text))) continue;
    const place = placeOf(part, path, offset);
    findings.add({ place, path: text, message, severity: warning ? 'warning' : 'error' });
  }
}

function placeOf({ tree, key }: Part, path: Path, offset: number | undefined): Place {
  const found = treeAt(tree, path);
  return offset !== undefined && found?.kind === 'scalar'
    ? placeInScalar(found, offset)
    : placeAt(tree, path, key);
}

const pathText = (part: Part, path: Path): string =>
  path.reduce<string>(
    (text, step) => (typeof step === 'number' ? `${text}[${step}]` : `${text}.${String(step)}`),
    part.path,
  );

function hideSecrets(tree: Tree, fields: readonly Field[], findings: Findings): void {
  if (fields.some(({ kind }) => kind === 'secret')) findings.secret(tree.place);
  if (tree.kind === 'map') {
    for (const [name, { value }] of tree.entries) {
      hideSecrets(value, childFields(fields, name), findings);
    }
  }
  if (tree.kind === 'list') {
    for (const item of tree.items) hideSecrets(item, childFields(fields, 0), findings);
  }
}

/** Freezes what was written as maps and lists; what a transform built inside is its own affair. */
function freezeAlong(value: unknown, tree: Tree): unknown {
  if (typeof value !== 'object' || value === null || tree.kind === 'scalar') return value;
  if (tree.kind === 'list' && Array.isArray(value)) {
    tree.items.forEach((item, index) => {
      freezeAlong(value[index], item);
    });
  }
  if (tree.kind === 'map') {
    for (const [name, entry] of tree.entries) {
      freezeAlong((value as Record<string, unknown>)[name], entry.value);
    }
  }
  return Object.freeze(value);
}
