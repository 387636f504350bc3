// What the process itself costs, under the names that Collector dashboards know.

import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Metrics } from './metrics.ts';

export function processMetrics(metrics: Metrics, version: string): void {
  const started = performance.now();
  const delay = monitorEventLoopDelay({ resolution: 20 });
  delay.enable();
  const gauge = (name: string, help: string, read: () => number): void => {
    metrics.gauge(name, help, {}, read);
  };
  gauge('otelcol_process_uptime_seconds_total', 'Seconds since the start.', () => {
    return (performance.now() - started) / 1000;
  });
  gauge('otelcol_process_cpu_seconds_total', 'CPU time, user and system.', () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  });
  gauge('otelcol_process_memory_rss_bytes', 'Resident memory.', () => process.memoryUsage.rss());
  gauge('otelcol_process_runtime_heap_alloc_bytes', 'JavaScript heap in use.', () => {
    return process.memoryUsage().heapUsed;
  });
  gauge(
    'meshlog_event_loop_delay_max_seconds',
    'Longest time that the event loop was held up since the last scrape.',
    () => {
      const seconds = delay.max / 1e9;
      delay.reset();
      return seconds;
    },
  );
  metrics.gauge('meshlog_build_info', 'The version, as a label.', { version }, () => 1);
}
