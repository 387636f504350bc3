import { expect, test } from 'vitest';
import { catalogue } from '../../src/components.ts';
import { meshlog } from './command.ts';

const types = Object.values(catalogue).flatMap((types) => Object.values(types));

test('components lists every component with its sentence, as text and as JSON', () => {
  const text = meshlog(['components']).stdout;
  const json: unknown[] = JSON.parse(meshlog(['components', '--json']).stdout);
  expect(json).toHaveLength(types.length);
  for (const { kind, name, summary } of types) {
    expect(text).toMatch(new RegExp(`^  ${name} +\\S`, 'm'));
    expect(text).toContain(summary);
    expect(json).toContainEqual({ kind, name, summary });
  }
});

test('docs shows a component: sentence, example, fields with type, default and meaning', () => {
  const { code, stdout } = meshlog(['docs', 'demo']);
  expect(code).toBe(0);
  expect(stdout).toContain(catalogue.receivers['demo']!.summary);
  expect(stdout).toMatch(/^ {4}demo:$/m);
  expect(stdout).toMatch(/^ {2}requests_per_second +0 to 10000 = 40 +\S/m);
  expect(stdout.split('\n').every((line) => line.length <= 120)).toBe(true);
});

test('docs of a name that several kinds have shows all, or the one that is asked for', () => {
  const both = meshlog(['docs', 'tcp']).stdout;
  expect(both).toContain('tcp (receiver)');
  expect(both).toContain('tcp (exporter)');
  const one = meshlog(['docs', 'exporters.tcp']).stdout;
  expect(one).not.toContain('tcp (receiver)');
  expect(both).toContain(one);
});

test('docs knows the service, names what there is, and guesses', () => {
  expect(meshlog(['docs', 'service']).stdout).toMatch(/^ {2}memory_budget +size = 64MiB/m);
  expect(meshlog(['docs']).stdout).toContain('demo');
  expect(meshlog(['docs', 'dmo'])).toEqual({
    code: 1,
    stdout: '',
    stderr: 'there is no component "dmo"; did you mean "demo"?\n',
  });
});

test('docs writes the whole reference as Markdown and as JSON Schema', () => {
  const page = meshlog(['docs', '--markdown']).stdout;
  for (const { name } of types) expect(page).toContain(`### ${name}\n`);
  const schema = JSON.parse(meshlog(['docs', '--json-schema']).stdout) as { definitions: object };
  expect(Object.keys(schema.definitions)).toHaveLength(types.length + 1);
});
