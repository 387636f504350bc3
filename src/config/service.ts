// The fields under `service`: what belongs to the process and not to a component.

import { z } from 'zod';
import { bytes, duration, endpoint } from './fields.ts';

export const serviceSchema = z.strictObject({
  pipelines: z
    .record(
      z.string(),
      z.strictObject({
        receivers: z.array(z.string()).default([]).describe('Where records come from.'),
        processors: z
          .array(z.string())
          .default([])
          .describe('What is done with them, in this order. Each pipeline has its own instances.'),
        exporters: z.array(z.string()).default([]).describe('Where they go: each gets all.'),
      }),
    )
    .default({})
    .describe(
      'What runs: `logs` or `logs/<name>`. Receivers and exporters may be named by several.',
    ),
  extensions: z
    .array(z.string())
    .optional()
    .describe("The Collector's; checked, and otherwise without effect: they are built in."),
  memory_budget: bytes()
    .prefault('64MiB')
    .describe('What all receivers together may hold; while it is used up they stop reading.'),
  grace_period: duration()
    .prefault('25s')
    .describe('How long a stop may take to deliver what was taken in.'),
  state_directory: z
    .string()
    .min(1)
    .optional()
    .describe('Where checkpoints and disk queues live; absent: nothing outlasts the process.'),
  control_socket: z
    .string()
    .min(1)
    .optional()
    .describe(
      'Unix socket (mode 0600) for meshlog status and meshlog reload; absent: control.sock in the state directory, if there is one.',
    ),
  reload: z
    .strictObject({
      watch: z
        .boolean()
        .default(true)
        .describe('Whether a changed configuration file is taken over without being asked.'),
      interval: duration().prefault('1s').describe('How often the files are looked at.'),
    })
    .prefault({})
    .describe('SIGHUP and meshlog reload work in any case. A bad file leaves the old one running.'),
  admin: z
    .strictObject({
      enabled: z.boolean().default(true).describe('false: no port is opened.'),
      endpoint: endpoint()
        .prefault('127.0.0.1:8888')
        .describe('Where /metrics, /healthz and /readyz are served.'),
    })
    .prefault({})
    .describe('Health and metrics.'),
  telemetry: z
    .strictObject({
      logs: z
        .strictObject({
          level: z
            .enum(['debug', 'info', 'warn', 'error'])
            .default('info')
            .describe('The least that is logged.'),
          format: z.enum(['text', 'json']).default('text').describe('Of the lines on stderr.'),
          otlp_endpoint: z
            .string()
            .transform(otlpUrl)
            .optional()
            .describe('Also sent to this OpenTelemetry endpoint, over gRPC: http://host:4317.'),
        })
        .prefault({})
        .describe("meshlog's own log: one line per change of state."),
    })
    .prefault({})
    .describe('What meshlog says about itself.'),
});

/** The scheme says whether TLS is used; without one it is not. */
function otlpUrl(text: string, context: z.RefinementCtx): string {
  const url = /^https?:\/\//.test(text) ? text : `http://${text}`;
  if (!URL.canParse(url)) {
    context.addIssue({ code: 'custom', message: `expected http://host:port, got "${text}"` });
  }
  return url;
}

export type Service = z.output<typeof serviceSchema>;
