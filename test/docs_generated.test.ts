// The files that are generated from the source are what the source says now. `npm run docs` writes them anew.

import { expect, test } from 'vitest';
import { catalogue } from '../src/components.ts';
import { loadConfig } from '../src/config/load.ts';
import { Daemon } from '../src/daemon.ts';
import { meshlog } from './cli/command.ts';
import { metricsOfSource, metricsPage } from './support/metrics_page.ts';

for (const [file, ...args] of [
  ['config.example.yaml', '--example'],
  ['docs/reference.md', '--markdown'],
  ['docs/fields.md', '--fields'],
  ['docs/schema.json', '--json-schema'],
] as const) {
  test(`${file} is current (else: npm run docs)`, async () => {
    const { code, stdout, stderr } = meshlog(['docs', ...args]);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    await expect(stdout).toMatchFileSnapshot(`../${file}`);
  });
}

test('docs/metrics.md is current (else: npm run docs)', async () => {
  await expect(metricsPage()).toMatchFileSnapshot('../docs/metrics.md');
});

test('every metric of a running daemon is on the page', async () => {
  const text = `
receivers: { nop: , demo: , tcp: { endpoint: '127.0.0.1:0' } }
processors: { parse: , filter: { expression: 'true' }, sample: { percent: 50 }, enrich: , redact: , dedup: }
exporters: { nop: , otlp: { endpoint: '127.0.0.1:9' }, tcp: { endpoint: '127.0.0.1:9' } }
service:
  admin: { enabled: false }
  grace_period: 100ms
  pipelines:
    logs:
      receivers: [nop, demo, tcp]
      processors: [parse, filter, sample, enrich, redact, dedup]
      exporters: [nop, otlp, tcp]
`;
  const { config, problems } = loadConfig([{ file: 'all.yaml', text }], catalogue, {});
  expect(problems.map(({ message }) => message)).toEqual([]);
  const daemon = await Daemon.start({
    config: config!,
    catalogue,
    version: 'test',
    write: () => undefined,
  });
  const known = metricsOfSource();
  const ours = daemon.metrics.list().filter(({ name }) => /^(meshlog|otelcol)_/.test(name));
  await daemon.stop(AbortSignal.timeout(200));
  expect(ours.length).toBeGreaterThan(20);
  expect(ours.map(({ name }) => name).filter((name) => !known.has(name))).toEqual([]);
});
