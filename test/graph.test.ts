import { expect, test } from 'vitest';
import { placesOf } from '../src/graph.ts';

test('every exporter has a folder and a dead letter file of its own, however alike the ids are', () => {
  const ids = [
    'otlp',
    'otlp/a',
    'otlp/a_b',
    'otlp/a b',
    'otlp/a/b',
    'otlp_a',
    'otlp/..',
    'otlp/%2F',
  ];
  const places = ids.map((id) => placesOf(id, '/state'));
  for (const kind of ['queueFolder', 'deadLetterFile'] as const) {
    const found = places.map((place) => place[kind]);
    expect(new Set(found).size).toBe(ids.length);
    // None leads out of the folder of its kind.
    for (const path of found) expect(path).toMatch(/^\/state\/(queue|dead_letter)\/[^/]+$/);
  }
});

test('a plain id is the name of its folder', () => {
  expect(placesOf('otlp', '/state')).toEqual({
    queueFolder: '/state/queue/otlp',
    deadLetterFile: '/state/dead_letter/otlp.jsonl',
  });
  expect(placesOf('otlp', undefined)).toEqual({
    queueFolder: undefined,
    deadLetterFile: undefined,
  });
});
