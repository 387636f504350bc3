// Records into a file, or onto standard output.

import { z } from 'zod';
import { bytes, duration } from '../../config/fields.ts';
import { type Context, type Exporter, exporter } from '../../pipeline/component.ts';
import { type BatchEncoder, encoderFor, fileFormat } from './format.ts';
import { RotatingFile } from './rotating_file.ts';
import { StandardStream } from './standard_stream.ts';

const config = z.strictObject({
  path: z
    .string()
    .min(1)
    .describe('The file. /dev/stdout and /dev/stderr mean the streams of the process.'),
  format: fileFormat(),
  append: z.boolean().default(true).describe('false: an existing file is emptied at start.'),
  create_directory: z
    .boolean()
    .default(true)
    .describe('Missing folders above the file are made, and named in the log. false: an error.'),
  mode: z
    // YAML reads an unquoted 0640 as the number that it is in octal.
    .union([z.string().regex(/^0?[0-7]{3}$/), z.number().int().min(0).max(0o777)], {
      error: 'expected an octal mode such as 0640',
    })
    .transform((mode) => (typeof mode === 'number' ? mode : Number.parseInt(mode, 8)))
    .prefault('0640')
    .describe('Permissions of a file that is made.'),
  fsync: z
    .enum(['never', 'interval', 'always'])
    .default('never')
    .describe(
      'When data is forced to disk: never (the system decides), once a second, or before each acknowledgement.',
    ),
  rotation: z
    .strictObject({
      max_size: bytes().prefault('100MiB').describe('A file that would grow beyond is put aside.'),
      max_age: duration({ isAge: true })
        .prefault('0')
        .describe('A file older than this is put aside. 0: never.'),
      max_backups: z.number().int().min(0).default(10).describe('Files kept. 0: all of them.'),
      compression: z
        .enum(['none', 'gzip', 'zstd'])
        .default('none')
        .describe('How files are packed once they are put aside.'),
    })
    .optional()
    .describe('Absent: the file grows; an outside logrotate may rename it and send SIGHUP.'),
});

export type FileConfig = z.output<typeof config>;

export const file = exporter({
  name: 'file',
  summary: 'Writes records to a file or to standard output, as JSON lines or as text for people.',
  config,
  example: `file:
  path: /dev/stdout
  format: json`,
  notes: `A write that fails (no space, no permission) is repeated; a line is never left half written.
With fsync: always, what is acknowledged survives a power cut.`,
  create: (settings, context) => new FileExporter(settings, context),
});

/** What FileExporter writes to. Writes come one at a time. */
export type Sink = {
  start(): Promise<void>;
  write(data: Buffer): Promise<void>;
  reopen(): Promise<void>;
  close(): Promise<void>;
};

class FileExporter implements Exporter {
  readonly #sink: Sink;
  readonly #encoder: BatchEncoder;
  readonly #status: string;
  #last: Promise<unknown> = Promise.resolve();

  constructor(settings: FileConfig, context: Context) {
    const stream =
      settings.path === '/dev/stdout'
        ? process.stdout
        : settings.path === '/dev/stderr'
          ? process.stderr
          : undefined;
    this.#encoder = encoderFor(settings.format, {
      colour: stream?.isTTY === true && !process.env['NO_COLOR'],
    });
    this.#sink =
      stream === undefined ? new RotatingFile(settings, context) : new StandardStream(stream);
    this.#status = `${settings.path} (${this.#encoder.name})`;
  }

  start(): Promise<void> {
    return this.#sink.start();
  }

  // The encoder's buffer is used again by the next batch, so exports go one after the other.
  export(...[batch]: Parameters<Exporter['export']>): Promise<void> {
    const written = this.#last.then(() => this.#sink.write(this.#encoder.encode(batch)));
    this.#last = written.catch(() => undefined);
    return written;
  }

  async reopen(): Promise<void> {
    await this.#last;
    await this.#sink.reopen();
  }

  async stop(): Promise<void> {
    await this.#last;
    await this.#sink.close();
  }

  status(): string {
    return this.#status;
  }
}
