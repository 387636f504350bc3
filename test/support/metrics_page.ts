// docs/metrics.md: every metric with its sentence, found where the source defines it.

import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '../..');
const definition =
  /'((?:meshlog|otelcol|process|nodejs)_[a-z0-9_]+)',\s*(?:'((?:[^'\\]|\\.)*)'|"([^"]*)")/g;

/** Names with their help, sorted. */
export function metricsOfSource(): Map<string, string> {
  const found = new Map<string, string>();
  for (const name of globSync('src/**/*.ts', { cwd: root }).sort()) {
    for (const [, metric = '', single, double] of readFileSync(join(root, name), 'utf8').matchAll(
      definition,
    )) {
      found.set(metric, (single ?? double ?? '').replaceAll("\\'", "'"));
    }
  }
  return new Map([...found].sort(([a], [b]) => a.localeCompare(b)));
}

export function metricsPage(): string {
  const rows = [...metricsOfSource()].map(([name, help]) => `| \`${name}\` | ${help} |\n`);
  return `# Metrics

What \`/metrics\` shows. \`otelcol_\` are the Collector's own names, so that its dashboards and alerts go on working; the rest is
\`meshlog_\`. Everything that ends inside meshlog is in \`meshlog_dropped_records_total{component,reason}\`.

| metric | meaning |
|---|---|
${rows.join('')}`;
}
