// What runs, told to people: for `meshlog status` and for the picture at the start.

import type { Config } from './config/config.ts';
import type { Graph } from './graph.ts';
import type { Budget } from './pipeline/budget.ts';
import type { Metrics } from './telemetry/metrics.ts';

type Line = readonly [id: string, text: string];

export type Status = {
  readonly version: string;
  readonly pid: number;
  readonly phase: string;
  readonly uptimeSeconds: number;
  /** Bytes. */
  readonly budget: { readonly used: number; readonly limit: number };
  /** What goes on with less than was asked for, a line each. */
  readonly degraded: readonly string[];
  readonly pipelines: Config['pipelines'];
  readonly receivers: readonly {
    readonly id: string;
    readonly status: string;
    readonly accepted: number;
    readonly waiting: number;
  }[];
  readonly exporters: readonly {
    readonly id: string;
    readonly status: string;
    readonly sent: number;
    readonly failed: number;
    readonly queueBytes: number;
    readonly oldestSeconds: number;
    readonly retrying: boolean;
  }[];
};

export type Description = {
  readonly receivers: Line[];
  readonly pipelines: Line[];
  readonly exporters: Line[];
  readonly admin: string | undefined;
};

export type Running = {
  readonly graph: Graph;
  readonly metrics: Metrics;
  readonly budget: Budget;
  readonly version: string;
  readonly phase: string;
  readonly degraded: readonly string[];
};

export function statusOf({ graph, metrics, budget, version, phase, degraded }: Running): Status {
  const { receivers, exporters, config } = graph;
  const read = (name: string, labels: Record<string, string>): number =>
    metrics.read(name, labels) ?? 0;
  return {
    version,
    pid: process.pid,
    phase,
    uptimeSeconds: Math.round(performance.now() / 1000),
    budget: { used: budget.usedBytes, limit: budget.limitBytes },
    degraded,
    pipelines: config.pipelines,
    receivers: receivers.map(({ instance: { id, type }, receiver }) => ({
      id,
      status: receiver.status?.() ?? '',
      accepted: read('otelcol_receiver_accepted_log_records_total', {
        receiver: id,
        transport: type,
      }),
      waiting: read('meshlog_receiver_unacknowledged_records', { receiver: id }),
    })),
    exporters: exporters.map(({ instance: { id }, exporter, sender }) => ({
      id,
      status: exporter.status?.() ?? '',
      sent: read('otelcol_exporter_sent_log_records_total', { exporter: id }),
      failed: read('otelcol_exporter_send_failed_log_records_total', { exporter: id }),
      queueBytes: read('otelcol_exporter_queue_size', { exporter: id, data_type: 'logs' }),
      oldestSeconds: read('meshlog_exporter_oldest_unacknowledged_seconds', { exporter: id }),
      retrying: sender.failing,
    })),
  };
}

export function descriptionOf(
  { config, receivers, exporters }: Graph,
  adminPort: number | undefined,
): Description {
  const { endpoint } = config.service.admin;
  const host = endpoint.kind === 'tcp' ? endpoint.host : '';
  return {
    receivers: receivers.map(({ instance, receiver }) => [instance.id, receiver.status?.() ?? '']),
    pipelines: config.pipelines.map(({ id, processors }) => [id, processors.join(' > ')]),
    exporters: exporters.map(({ instance, exporter }) => [instance.id, exporter.status?.() ?? '']),
    admin: adminPort === undefined ? undefined : `http://${host}:${adminPort}/metrics`,
  };
}
