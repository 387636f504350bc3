// Kuma's `rules[].matches`: the client's SPIFFE id and the SNI.

import { allOf, anyOf, type Plan, type Report } from './condition.ts';
import { FieldReader } from './field_reader.ts';
import { exactName } from './names.ts';
import { type Path, Struct } from './struct.ts';
import { textTest } from './text_matcher.ts';

/** Reads the list `matches`: any of them, and in each everything; undefined when empty or (reported) wrong. */
export function readKumaMatches(
  items: readonly unknown[],
  path: Path,
  report: Report,
): Plan | undefined {
  const plans = items.map((item, i) => readMatch(item, [...path, i], report));
  if (plans.length === 0 || plans.includes(undefined)) return undefined;
  return (surroundings) => anyOf((plans as Plan[]).map((plan) => plan(surroundings)));
}

function readMatch(value: unknown, path: Path, report: Report): Plan | undefined {
  const struct = Struct.read(value, path, report, ['spiffe_id', 'sni']);
  if (struct === undefined) return undefined;
  if (!struct.has('spiffe_id') && !struct.has('sni')) {
    struct.problem('one of spiffeID, sni is missing');
    return undefined;
  }
  const plans: Plan[] = [];
  for (const [name, field, ways] of [
    ['spiffe_id', 'connection.uri_san_peer_certificate', ['Exact', 'Prefix']],
    ['sni', 'connection.requested_server_name', ['Exact']],
  ] as const) {
    if (!struct.has(name)) continue;
    const match = struct.struct(name, ['type', 'value']);
    const plan = match && readText(match, field, ways);
    if (plan === undefined) return undefined;
    plans.push(plan);
  }
  return (surroundings) => allOf(plans.map((plan) => plan(surroundings)));
}

function readText(struct: Struct, name: string, ways: readonly string[]): Plan | undefined {
  const way = struct.choice('type', ways);
  const value = struct.text('value');
  if (!struct.has('type')) struct.problem('type is missing');
  if (value === undefined || value === '') struct.problem('value is missing');
  if (way === undefined || value === undefined) return undefined;
  const test = textTest(ways[way] === 'Prefix' ? 'prefix' : 'exact', value, false);
  const sources = exactName(name)?.sources ?? [{ name }];
  return () => {
    const field = new FieldReader(sources);
    return { bind: (batch) => field.bind(batch), test: (row) => field.span(row) && test(field) };
  };
}
