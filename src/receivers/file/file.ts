// Follows log files, and moves on in them only when what was read is delivered.

import { type Context, type Deliver, type Receiver, receiver } from '../../pipeline/component.ts';
import { Admission } from './admission.ts';
import { BatchMaker } from './chunk.ts';
import { counters } from './counters.ts';
import { Discovery } from './discovery.ts';
import { Handles } from './handles.ts';
import { Hints } from './hints.ts';
import { Keeper } from './keeper.ts';
import { Known } from './known.ts';
import { Missing } from './missing.ts';
import { Pump } from './pump.ts';
import { Recovery } from './recovery.ts';
import { config, type Settings } from './settings.ts';
import type { Tailed } from './tailed.ts';
import { Tracker } from './tracker.ts';
import { Troubles } from './troubles.ts';

export const file = receiver({
  name: 'file',
  summary: 'Follows log files through rotation, truncation and restarts, one record per line.',
  config,
  example: `file/istio:
  include: [/var/log/pods/*_*/istio-proxy/*.log]
  framing: cri`,
  notes: `A place in a file is remembered only when every exporter has taken over everything before it, so
nothing is lost by a crash, an outage of a sink or a rotation; lines that were on their way are then read again
(with include_offset they carry the same log.record.id). A file is known by device and inode, guarded by its
first bytes and by those before the place. A renamed or deleted file is read to its end; a file that is emptied
begins anew, and a copy made before that (copytruncate, gzip) is read where the original left off. A file that was
rotated away before anybody looked is found under names such as \`app.log.1\`, \`app.log-20250219.gz\` or
\`app-20250219.log\`; for others, and for what was rotated while this process was down, \`include\` has to match them.
Lost is what was removed before anybody looked. Without a state directory places are kept in memory only, until the receiver
ends or its configuration changes; so they are while the state directory cannot be written, which is said again and
again. Paths that do not exist and files that may not be read are named in the log and tried all the time. Damaged state is put aside, said in the log, and every file is then read from
its beginning: twice rather than not at all.`,
  create: (settings, context) => new FileReceiver(settings, context),
});

/** Places are written to disk at most this often. */
const saveEveryMs = 100;
const expireEveryMs = 60_000;
/** After a notification the next look comes so soon. */
const soonMs = 5;

type Parts = { pump: Pump; tracker: Tracker; admission: Admission; missing: Missing };

class FileReceiver implements Receiver {
  readonly #settings: Settings;
  readonly #context: Context;
  readonly #known = new Known();
  readonly #keeper: Keeper;
  readonly #handles: Handles;
  readonly #troubles: Troubles;
  readonly #hints: Hints;
  readonly #counters;
  readonly #removeGauges: (() => void)[] = [];
  #running: Parts | undefined;
  #timer: NodeJS.Timeout | undefined;
  #nextMs = 0;
  #polling: Promise<void> = Promise.resolve();
  #stopping = false;
  #saveTimer: NodeJS.Timeout | undefined;
  #expireAtMs = 0;

  constructor(settings: Settings, context: Context) {
    this.#settings = settings;
    this.#context = context;
    this.#keeper = new Keeper(context, this.#known);
    this.#counters = counters(context);
    this.#troubles = new Troubles(context, this.#counters.errors);
    this.#handles = new Handles(settings.max_concurrent_files, this.#known, this.#troubles);
    this.#hints = new Hints(context.log, () => this.#soon());
  }

  async start(deliver: Deliver): Promise<void> {
    const { pump, tracker, admission, missing } = this.#build(deliver);
    this.#running = { pump, tracker, admission, missing };
    admission.firstLook = this.#keeper.open() === 'new';
    try {
      await tracker.poll();
      await tracker.recover();
    } catch (error) {
      this.#keeper.close();
      this.#handles.closeAll();
      throw error;
    }
    admission.firstLook = false;
    missing.look();
    this.#save();
    this.#expireAtMs = this.#context.now() + expireEveryMs;
    this.#gauges();
    pump.start();
    this.#schedule(this.#settings.poll_interval);
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#timer);
    this.#hints.close();
    await this.#polling;
    await this.#running?.pump.stop();
    this.#save();
    this.#keeper.close();
    this.#handles.closeAll();
    for (const remove of this.#removeGauges) remove();
  }

  status(): string {
    const { size } = this.#known.live;
    const match = size === 1 ? 'file matches' : 'files match';
    const { paths = [] } = this.#running?.missing ?? {};
    const failing = this.#troubles.count;
    return [
      `${size} ${match} ${this.#settings.include.join(', ')}`,
      ...(paths.length > 0 ? [`there is no ${paths.join(', ')}`] : []),
      ...(failing > 0 ? [`${failing} cannot be read, see the log`] : []),
    ].join('; ');
  }

  #build(deliver: Deliver): Parts {
    const settings = this.#settings;
    const context = this.#context;
    const troubles = this.#troubles;
    const common = {
      settings,
      context,
      counters: this.#counters,
      known: this.#known,
      handles: this.#handles,
      troubles,
    };
    const pump: Pump = new Pump({
      ...common,
      deliver,
      onProgress: () => this.#saveSoon(),
      maker: new BatchMaker(settings, context, this.#counters),
      onTruncated: (emptied) => tracker.truncated(emptied),
    });
    const discovery = new Discovery({
      include: settings.include,
      exclude: settings.exclude,
      baseDirectory: context.baseDirectory,
      now: () => context.now(),
      onFolder: (path, error) =>
        error === undefined ? troubles.clear(path) : troubles.report(path, error),
    });
    const follow = { ...common, onUnread: (unread: Tailed) => pump.ready(unread) };
    const admission = new Admission(follow);
    const recovery = new Recovery(follow, admission);
    const tracker: Tracker = new Tracker(
      { ...common, discovery, admission, recovery, hints: this.#hints },
      pump,
    );
    return { pump, tracker, admission, missing: new Missing(context, discovery.needed) };
  }

  #schedule(delayMs: number): void {
    if (this.#stopping) return;
    clearTimeout(this.#timer);
    this.#nextMs = performance.now() + delayMs;
    this.#timer = setTimeout(() => {
      this.#polling = this.#poll();
    }, delayMs);
  }

  #soon(): void {
    if (this.#nextMs - performance.now() > soonMs) this.#schedule(soonMs);
  }

  async #poll(): Promise<void> {
    // While this runs, a notification must not start another one.
    this.#nextMs = 0;
    const startMs = performance.now();
    try {
      await this.#running?.tracker.poll();
      this.#troubles.clear('looking for files');
    } catch (error) {
      this.#troubles.report('looking for files', error);
    }
    this.#running?.missing.look();
    const nowMs = this.#context.now();
    if (nowMs >= this.#expireAtMs) {
      this.#expireAtMs = nowMs + expireEveryMs;
      this.#known.expire(nowMs);
    }
    if (this.#keeper.hasWork) this.#saveSoon();
    // Looking takes at most a tenth of the time, however many files there are.
    this.#schedule(Math.max(this.#settings.poll_interval, 9 * (performance.now() - startMs)));
  }

  #saveSoon(): void {
    this.#saveTimer ??= setTimeout(() => this.#save(), saveEveryMs);
  }

  #save(): void {
    clearTimeout(this.#saveTimer);
    this.#saveTimer = undefined;
    this.#keeper.save();
  }

  #gauges(): void {
    const { metrics, id } = this.#context;
    const known = this.#known;
    const labels = { receiver: id };
    const gauge = (name: string, help: string, read: () => number): void => {
      this.#removeGauges.push(metrics.gauge(name, help, labels, read));
    };
    gauge('otelcol_fileconsumer_open_files', 'Files held open.', () => this.#handles.count);
    gauge(
      'otelcol_fileconsumer_reading_files',
      'Files with something to read.',
      () => this.#running?.pump.readyCount ?? 0,
    );
    gauge('meshlog_file_followed_files', 'Files that are followed.', () => known.live.size);
    gauge(
      'meshlog_file_gone_files',
      'Renamed or deleted files that are still read or waited for.',
      () => known.gone.size + (this.#running?.admission.heldCount ?? 0),
    );
    gauge(
      'meshlog_file_missing_paths',
      'Files that include names, and folders that its patterns begin in, that do not exist now.',
      () => this.#running?.missing.paths.length ?? 0,
    );
    gauge(
      'meshlog_file_failing_files',
      'Files and folders that cannot be read now.',
      () => this.#troubles.count,
    );
    gauge('meshlog_file_lag_bytes', 'Bytes in files that are not yet acknowledged.', () => {
      let lag = 0;
      for (const followed of known.live.values()) lag += followed.lagBytes;
      for (const followed of known.gone) lag += followed.lagBytes;
      return lag;
    });
  }
}
