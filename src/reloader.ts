// When to run another configuration: on request, on SIGHUP, or because a file changed. Requests that come together are
// one reload, of what the files say last.

import { stat } from 'node:fs/promises';
import type { Config } from './config/config.ts';
import type { ReadConfig } from './config/load.ts';
import type { Log } from './pipeline/component.ts';
import { errorChain } from './pipeline/errors.ts';
import type { Metrics } from './telemetry/metrics.ts';

export type ReloadOutcome = {
  readonly ok: boolean;
  /** RFC 3339. */
  readonly time: string;
  /** Why the old configuration goes on; empty when the new one runs. */
  readonly reason: string;
};

export type ReloaderOptions = {
  readonly read: () => ReadConfig;
  /** Resolves with what did not work out although the rest runs; rejects when everything stays as it was. */
  readonly apply: (config: Config) => Promise<readonly string[]>;
  readonly log: Log;
  readonly metrics: Metrics;
};

export class Reloader {
  last: ReloadOutcome | undefined;
  readonly #options: ReloaderOptions;
  #running: Promise<ReloadOutcome> | undefined;
  #next: Promise<ReloadOutcome> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #seen = '';
  #files: readonly string[] = [];

  constructor(options: ReloaderOptions) {
    this.#options = options;
    options.metrics.gauge(
      'meshlog_config_last_reload_successful',
      '1 unless the last reload left the old configuration running.',
      {},
      () => (this.last?.ok === false ? 0 : 1),
    );
  }

  /** Looks at the files every `intervalMs`. A symbolic link that points elsewhere counts as a change. */
  async watch(files: readonly string[], intervalMs: number): Promise<void> {
    this.#files = files;
    this.#seen = await fingerprint(files);
    const look = async (): Promise<void> => {
      const now = await fingerprint(this.#files);
      if (now !== this.#seen) {
        // A file that is being written changes again: only what has come to rest is read.
        this.#seen = now;
        await new Promise((done) => setTimeout(done, Math.min(100, intervalMs)));
        if ((await fingerprint(this.#files)) === now) await this.reload('a file changed');
        else this.#seen = '';
      }
      this.#timer = setTimeout(() => void look(), intervalMs).unref();
    };
    this.#timer = setTimeout(() => void look(), intervalMs).unref();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  /** Resolves with what came of it. Callers that come while one runs share the next one. */
  reload(why: string): Promise<ReloadOutcome> {
    if (this.#running === undefined) return this.#begin(why);
    this.#next ??= this.#running.then(() => {
      this.#next = undefined;
      return this.#begin(why);
    });
    return this.#next;
  }

  #begin(why: string): Promise<ReloadOutcome> {
    this.#running = this.#reload(why).finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #reload(why: string): Promise<ReloadOutcome> {
    const { read, apply, log, metrics } = this.#options;
    let reason = '';
    let partly = false;
    try {
      // What is read now need not be read again because a look at the files finds it new.
      this.#seen = await fingerprint(this.#files);
      const { config, report, files } = read();
      if (files.length > 0 && files.join() !== this.#files.join()) {
        this.#files = files;
        this.#seen = await fingerprint(files);
      }
      if (config === undefined) reason = report.trim();
      else {
        const problems = await apply(config);
        partly = problems.length > 0;
        reason = problems.join('; ');
      }
    } catch (error) {
      reason = errorChain(error);
    }
    const ok = reason === '';
    this.last = { ok, time: new Date().toISOString(), reason };
    metrics
      .counter('meshlog_config_reloads_total', 'Reloads, by outcome.', {
        outcome: ok ? 'success' : 'failure',
      })
      .add(1);
    if (ok) log.info(`configuration reloaded: ${why}`);
    else if (partly) log.error(`configuration reloaded in part (${why}): ${reason}`);
    else log.error(`the old configuration goes on, the new one cannot be used (${why}): ${reason}`);
    return this.last;
  }
}

async function fingerprint(files: readonly string[]): Promise<string> {
  const parts = await Promise.all(
    files.map(async (file) => {
      const entry = await stat(file, { bigint: true }).catch(() => undefined);
      return entry === undefined ? '-' : `${entry.dev}:${entry.ino}:${entry.size}:${entry.mtimeNs}`;
    }),
  );
  return parts.join(' ');
}
