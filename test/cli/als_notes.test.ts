import { expect, test } from 'vitest';
import { alsNotes } from '../../src/cli/als_notes.ts';
import { catalogue } from '../../src/components.ts';
import type { Config } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load.ts';

function notes(receiver: string, exporter: string): string[] {
  const text = `receivers:\n  ${receiver}:\nexporters:\n  ${exporter}\nservice:\n  pipelines:\n    logs: { receivers: [${receiver}], exporters: [${exporter.split(':')[0]}] }\n`;
  const { config, problems } = loadConfig([{ file: 'config.yaml', text }], catalogue, {});
  expect(problems).toEqual([]);
  return alsNotes(config as Config);
}

test('check says which operators of a format envoy_als does not carry', () => {
  const format = "'%START_TIME% %UPSTREAM_PROTOCOL% %RESP(X-FOO)% %REQ(:METHOD)%'";
  expect(notes('envoy_als', `file: { path: x, format: ${format} }`)).toEqual([
    'exporters.file: %UPSTREAM_PROTOCOL% is not carried by envoy_als: printed as absent',
    "exporters.file: %RESP(X-FOO)% is carried by envoy_als only if the proxy's logger is told to add it",
  ]);
  expect(notes('stdin', `file: { path: x, format: ${format} }`)).toEqual([]);
});

test('check looks into bodies and attributes of OTLP, too', () => {
  const otlp =
    "otlp: { endpoint: x, body: { kvlistValue: { values: [{ key: a, value: { stringValue: '%HOSTNAME%' } }] } } }";
  expect(notes('envoy_als', otlp)).toHaveLength(1);
});
