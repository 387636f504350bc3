// What the meshes are told, against what the mounted configurations understand.

import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { hango } from '../../src/access_log/formats.ts';
import { catalogue } from '../../src/components.ts';
import { loadConfig } from '../../src/config/load.ts';
import { readManifests } from '../support/kustomize.ts';

const meshes = resolve(import.meta.dirname, '../../deploy/meshes');
const read = (path: string): unknown => parse(readFileSync(join(meshes, path), 'utf8'));

const service = { service: z.string(), port: z.int().min(1).max(65535) };
const names = z.array(z.string()).optional();
const logFormat = z.strictObject({
  text: z.string().optional(),
  labels: z.record(z.string(), z.string()).optional(),
});
/** The fields of Istio's MeshConfig, as far as they are about access logs: no package has its schema. */
const meshConfig = z.strictObject({
  extensionProviders: z
    .array(
      z.union([
        z.strictObject({
          name: z.string(),
          envoyHttpAls: z.strictObject({
            ...service,
            logName: z.string().optional(),
            filterStateObjectsToLog: names,
            additionalRequestHeadersToLog: names,
            additionalResponseHeadersToLog: names,
            additionalResponseTrailersToLog: names,
          }),
        }),
        z.strictObject({
          name: z.string(),
          envoyTcpAls: z.strictObject({
            ...service,
            logName: z.string().optional(),
            filterStateObjectsToLog: names,
          }),
        }),
        z.strictObject({
          name: z.string(),
          envoyOtelAls: z.strictObject({
            ...service,
            logName: z.string().optional(),
            logFormat: logFormat.optional(),
          }),
        }),
        z.strictObject({
          name: z.string(),
          envoyFileAccessLog: z.strictObject({ path: z.string(), logFormat: logFormat.optional() }),
        }),
      ]),
    )
    .optional(),
  enableEnvoyAccessLogService: z.boolean().optional(),
  accessLogFile: z.string().optional(),
  accessLogEncoding: z.enum(['TEXT', 'JSON']).optional(),
  accessLogFormat: z.string().optional(),
  defaultConfig: z
    .strictObject({
      envoyAccessLogService: z.strictObject({ address: z.string().regex(/^[\w.-]+:\d+$/) }),
      proxyMetadata: z.record(z.string(), z.string()),
    })
    .optional(),
});

test.each(['istio', 'gloo_mesh', 'hango'])(
  "%s: values.yaml has fields of Istio's mesh configuration",
  (mesh) => {
    const { error } = z.strictObject({ meshConfig }).safeParse(read(`${mesh}/values.yaml`));
    expect(error?.issues ?? []).toEqual([]);
  },
);

test('istio: all three senders of its API are there', () => {
  const values = z.looseObject({ meshConfig }).parse(read('istio/values.yaml'));
  const kinds = values.meshConfig.extensionProviders?.flatMap((provider) => Object.keys(provider));
  expect(kinds).toEqual(expect.arrayContaining(['envoyHttpAls', 'envoyTcpAls', 'envoyOtelAls']));
});

test('hango: the lines that proxies are told to print are those that `format: hango` reads', () => {
  const values = z.looseObject({ meshConfig }).parse(read('hango/values.yaml'));
  expect(values.meshConfig.accessLogFormat).toBe(hango);
  expect(read('hango/config.yaml')).toMatchObject({ processors: { parse: { format: 'hango' } } });
});

type Filter = {
  or_filter: { filters: [{ status_code_filter: object }, { runtime_filter: object }] };
};

test('hango: the filter of the EnvoyFilter can be pasted, and says what the agent is told', () => {
  const [patch] = readManifests(join(meshes, 'hango/envoy_filter.yaml'));
  const { configPatches } = patch!['spec'] as unknown as {
    configPatches: [{ patch: { value: { typed_config: { access_log: [{ filter: Filter }] } } } }];
  };
  const [log] = configPatches[0].patch.value.typed_config.access_log;
  const all = log.filter.or_filter;
  const config = {
    receivers: { nop: null },
    processors: { filter: { access_log_filter: { or_filter: all } } },
    exporters: { nop: null },
    service: {
      pipelines: { logs: { receivers: ['nop'], processors: ['filter'], exporters: ['nop'] } },
    },
  };
  const source = { file: 'x', text: JSON.stringify(config), directory: '.' };
  expect(loadConfig([source], catalogue, {}).problems).toEqual([]);
  const { processors } = read('hango/config.yaml') as {
    processors: { sample: { percent: number; keep_if: { status_code_filter: object } } };
  };
  expect(all.filters[1].runtime_filter).toMatchObject({
    percent_sampled: { numerator: processors.sample.percent },
  });
  expect(all.filters[0]).toMatchObject(processors.sample.keep_if);
});
