import { describe, expect, test } from 'vitest';
import { jsonSchema } from '../../src/config/json_schema.ts';
import { componentsOf, markdownReference, rowsOf } from '../../src/config/reference.ts';
import { standIn } from './stand_in.ts';

const rows = (section: 'receivers' | 'processors' | 'exporters', name: string) =>
  rowsOf(standIn[section][name]!.config).map(
    ({ name: field, depth, type, fallback, required }) =>
      `${'  '.repeat(depth)}${field}: ${type}${fallback === undefined ? '' : ` = ${fallback}`}${required ? '!' : ''}`,
  );

test('the fields of a schema are rows, in their order, with type and default as written', () => {
  expect(rows('receivers', 'tcp')).toEqual([
    'endpoint: endpoint!',
    'framing: line | cri | docker = line',
    'line_bytes_max: size = 1MiB',
    'connections_max: 1 to 65535 = 1000',
    'tls: map',
    '  cert_file: text!',
    '  key_file: text!',
    '  client_ca_file: text',
    '  min_version: 1.2 | 1.3 = 1.2',
    '  max_version: 1.2 | 1.3',
    '  reload_interval: duration = 10s',
  ]);
});

test('what may be one of several, and what contains itself, is told once', () => {
  expect(rows('processors', 'sample')).toEqual([
    'percent: 0 to 100!',
    'keep_if: map',
    '  status_code_filter: map',
    '    comparison: map!',
    '      op: EQ | GE | LE!',
    '      value: number!',
    '  not_health_check_filter: map',
    '  and_filter: map',
    '    filters: list of map!',
    'seed: number = 1',
    'every: duration = 1s',
    'key: request | list of text = request',
  ]);
  expect(rows('exporters', 'file')).toEqual([
    'path: text!',
    'format: map!',
    '  type: plain | json!',
    '  plain: text',
    '  json: list of map',
    '    key: text!',
  ]);
});

test('components are listed receivers first, each kind by name', () => {
  const listed = componentsOf(standIn).map(({ kind, described }) => `${kind} ${described.name}`);
  expect(listed.slice(0, 4)).toEqual([
    'receiver nop',
    'receiver probe',
    'receiver tcp',
    'processor filter',
  ]);
});

test('the Markdown reference has every component with its example, and the service', () => {
  const page = markdownReference(standIn);
  for (const { described } of componentsOf(standIn))
    expect(page).toContain(`### ${described.name}`);
  expect(page).toContain('```yaml\notlp: { endpoint: collector:4317 }\n```');
  expect(page).toContain('| `framing` | line \\| cri \\| docker | `line` | How lines end. |');
  expect(page).toContain('## service');
  expect(page).not.toContain('undefined');
});

describe('the JSON Schema', () => {
  const schema = jsonSchema(standIn) as unknown as Json;

  type Json = { [key: string]: Json } & { $ref?: string };
  const at = (pointer: string): Json | undefined =>
    pointer
      .split('/')
      .slice(1)
      .reduce<Json | undefined>((node, step) => node?.[step], schema);

  function visit(node: unknown, look: (node: Json) => void): void {
    if (typeof node !== 'object' || node === null) return;
    look(node as Json);
    for (const inner of Object.values(node)) visit(inner, look);
  }

  test('refers only to what it holds, itself included', () => {
    const references: string[] = [];
    visit(schema, ({ $ref }) => {
      if (typeof $ref === 'string') references.push($ref);
    });
    expect(references.length).toBeGreaterThan(10);
    expect(references.filter((reference) => at(reference.slice(1)) === undefined)).toEqual([]);
  });

  test('knows ids by their type, and lets a component be empty', () => {
    const [pattern, entry] =
      Object.entries(schema['properties']?.['receivers']?.['patternProperties'] ?? {})[2] ?? [];
    expect(pattern).toBe('^tcp(/.+)?$');
    expect(entry).toMatchObject({
      anyOf: [{ $ref: '#/definitions/receiver_tcp' }, { type: 'null' }],
    });
  });

  test('takes a substitution where a number or a switch is wanted, and keeps descriptions', () => {
    const tcp = schema['definitions']?.['receiver_tcp']?.['properties'];
    expect(tcp?.['connections_max']).toMatchObject({
      default: 1000,
      anyOf: [
        { type: 'integer', minimum: 1, maximum: 65535 },
        { type: 'string', pattern: '\\$\\{' },
      ],
    });
    expect(tcp?.['endpoint']).toMatchObject({ type: 'string', description: 'Where to listen.' });
    expect(tcp?.['tls']).toMatchObject({ required: ['cert_file', 'key_file'] });
  });
});
