// A process that is held up answers nobody: it says so itself, afterwards.

import type { Metrics } from './metrics.ts';

const lookEveryMs = 500;
/** Being late by this is worth a word. */
const stallMs = 1000;
/** At most one line in so long: a machine that is too small would say it for ever. */
const sayEveryMs = 60_000;

/** Watches the event loop until the returned function is called. */
export function watchEventLoop(metrics: Metrics, warn: (message: string) => void): () => void {
  const stalls = metrics.counter(
    'meshlog_event_loop_stalls_total',
    'Times that the process could do nothing for more than a second.',
  );
  const lost = metrics.counter(
    'meshlog_event_loop_stalled_seconds_total',
    'Time in which the process could do nothing, in stalls of more than a second.',
  );
  let before = performance.now();
  let saidMs = Number.NEGATIVE_INFINITY;
  const timer = setInterval(() => {
    const now = performance.now();
    const lateMs = now - before - lookEveryMs;
    before = now;
    if (lateMs < stallMs) return;
    stalls.add(1);
    lost.add(lateMs / 1000);
    if (now - saidMs < sayEveryMs) return;
    saidMs = now;
    const seconds = (lateMs / 1000).toFixed(1);
    warn(
      `the process was held up for ${seconds} s: too little CPU, a stopped process, or a defect`,
    );
  }, lookEveryMs);
  timer.unref();
  return () => clearInterval(timer);
}
