// A small catalogue with one of everything that a schema can hold, so that the tests of the configuration do not
// depend on the components.

import { z } from 'zod';
import type { Catalogue } from '../../src/config/config.ts';
import {
  bytes,
  duration,
  endpoint,
  secret,
  tlsClient,
  tlsServer,
} from '../../src/config/fields.ts';
import { type Loaded, loadConfig } from '../../src/config/load.ts';
import type { Problem } from '../../src/config/problem.ts';
import { warn } from '../../src/config/warning.ts';
import { exporterSettings } from '../../src/pipeline/queue.ts';

const nop = { name: 'nop', summary: 'Does nothing.', example: 'nop:', config: z.strictObject({}) };

const comparison = z.strictObject({ op: z.enum(['EQ', 'GE', 'LE']), value: z.number().int() });

type Keep =
  | { status_code_filter: { comparison: z.output<typeof comparison> } }
  | { not_health_check_filter: Record<string, never> }
  | { and_filter: { filters: Keep[] } };

const keep: z.ZodType<Keep> = z.lazy(() =>
  z.union([
    z.strictObject({ status_code_filter: z.strictObject({ comparison }) }),
    z.strictObject({ not_health_check_filter: z.strictObject({}) }),
    z.strictObject({ and_filter: z.strictObject({ filters: z.array(keep).min(2) }) }),
  ]),
);

/** Stands for a language that has its own positions: a question mark is an error, a tilde is out of fashion. */
const expression = z.string().transform((text, context) => {
  const question = text.indexOf('?');
  if (question >= 0) {
    const params = { offset: question };
    context.addIssue({ code: 'custom', message: 'unexpected "?"', params });
  }
  const tilde = text.indexOf('~');
  if (tilde >= 0) warn(context, '"~" is out of fashion', tilde);
  return { compiled: text };
});

export const probe = z.strictObject({
  text: z.string().optional(),
  number: z.number().optional(),
  switch: z.boolean().optional(),
  list: z.array(z.string()).optional(),
  named: z.record(z.string(), z.string()).optional(),
  any: z.unknown().optional(),
});

const sample = z
  .strictObject({
    percent: z.number().min(0).max(100).describe('Of the rest.'),
    keep_if: keep.optional().describe('Kept whatever the dice say.'),
    seed: z.number().int().default(1).describe('Of the dice.'),
    every: duration().prefault('1s').describe('How often.'),
    key: z.union([z.literal('request'), z.array(z.string()).min(1)]).default('request'),
  })
  .refine(({ percent, seed }) => percent > 0 || seed === 1, 'percent 0 needs no seed');

const file = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('plain'), plain: z.string() }),
  z.strictObject({ type: z.literal('json'), json: z.array(z.strictObject({ key: z.string() })) }),
]);

export const standIn: Catalogue = {
  receivers: {
    nop,
    probe: { ...nop, name: 'probe', config: probe },
    tcp: {
      name: 'tcp',
      summary: 'Lines over TCP.',
      example: 'tcp: { endpoint: 127.0.0.1:5170 }',
      notes: 'Loses nothing.',
      config: z.strictObject({
        endpoint: endpoint().describe('Where to listen.'),
        framing: z.enum(['line', 'cri', 'docker']).default('line').describe('How lines end.'),
        line_bytes_max: bytes().prefault('1MiB').describe('Longer lines are split.'),
        connections_max: z.number().int().min(1).max(65535).default(1000),
        tls: tlsServer().optional().describe('Absent: plain text.'),
      }),
    },
  },
  processors: {
    nop,
    sample: { ...nop, name: 'sample', config: sample },
    filter: { ...nop, name: 'filter', config: z.strictObject({ expression }) },
  },
  exporters: {
    nop,
    file: { ...nop, name: 'file', config: z.strictObject({ path: z.string(), format: file }) },
    otlp: {
      name: 'otlp',
      summary: 'OpenTelemetry over gRPC.',
      example: 'otlp: { endpoint: collector:4317 }',
      config: z
        .strictObject({
          endpoint: endpoint(4317).describe('The collector.'),
          tls: tlsClient().prefault({}),
          token: secret().optional().describe('Shown nowhere.'),
          headers: z.record(z.string(), secret()).default({}),
          body: z
            .strictObject({ kvlistValue: z.strictObject({ values: z.array(z.unknown()) }) })
            .optional(),
        })
        .safeExtend(exporterSettings),
    },
  },
};

export function load(text: string, env: Record<string, string> = {}): Loaded {
  return loadConfig([{ file: 'config.yaml', text }], standIn, env);
}

/** What the user reads of each problem: `3:5: message`. */
export const told = (problems: readonly Problem[]): string[] =>
  problems.map(({ line, column, message }) => `${line}:${column}: ${message}`);

/** A configuration that is right, around receivers to be looked at. */
export const around = (receivers: string): string =>
  `receivers:\n${receivers.replace(/^/gm, '  ')}\nexporters: { nop: }\n` +
  'service: { pipelines: { logs: { receivers: [nop], exporters: [nop] } } }\n';
