// The configuration of the receiver.

import { z } from 'zod';
import { bytes, duration } from '../../config/fields.ts';
import { parseGlob } from './glob.ts';

const pattern = () =>
  z.string().superRefine((value, context) => {
    try {
      parseGlob(value, '/');
    } catch (error) {
      context.addIssue({ code: 'custom', message: `not a glob pattern: ${String(error)}` });
    }
  });

const facts = () => z.record(z.string(), z.union([z.string(), z.number(), z.boolean()]));

export const config = z
  .strictObject({
    include: z
      .array(pattern())
      .min(1)
      .describe(
        'Paths to follow, as glob patterns: `*` and `?` within a name, `**` for any folders, `[a-z]`, `{a,b}`. Relative ones start at the configuration file.',
      ),
    exclude: z.array(pattern()).default([]).describe('Paths not to follow, as glob patterns.'),
    start_at: z
      .enum(['end', 'beginning'])
      .default('end')
      .describe(
        'Where to begin in files that are there when nothing is known yet: the first start, or every start without a state directory. Files that appear later are read from their beginning.',
      ),
    poll_interval: duration()
      .prefault('200ms')
      .describe('How often files are looked at. Notifications of the system only make it sooner.'),
    framing: z
      .enum(['line', 'cri', 'docker', 'container'])
      .default('line')
      .describe(
        'What stands around each line: nothing, the framing of containerd and CRI-O, that of Docker, or either of the two, told apart line by line. Lines that the runtime has split are joined per stream.',
      ),
    line_bytes_max: bytes().prefault('1MiB').describe('The longest line.'),
    line_too_long: z
      .enum(['split', 'truncate', 'drop'])
      .default('split')
      .describe('What becomes of a longer one: records of that size, its beginning, or nothing.'),
    force_flush_period: duration()
      .prefault('0')
      .describe(
        'Take an unfinished last line as a record when nothing was added for so long. 0: wait for its newline, or for the end of the file after a rotation.',
      ),
    compression: z
      .enum(['none', 'gzip', 'auto'])
      .default('none')
      .describe(
        'gzip: every file is; auto: those that look it. A gzip file is read once, to its end.',
      ),
    fingerprint_size: bytes()
      .prefault('1000')
      .describe('Bytes at the beginning of a file by which it is known again; at least 16.'),
    max_concurrent_files: z
      .number()
      .int()
      .min(1)
      .default(1024)
      .describe('Files held open. More are followed: idle ones are closed and opened again.'),
    rotate_wait: duration()
      .prefault('5s')
      .describe(
        'How long a file that was renamed or deleted stays open after its last byte was read. A file with unread bytes is never given up.',
      ),
    ignore_older: duration({ isAge: true })
      .optional()
      .describe('Do not begin with files that were last written longer ago than this.'),
    include_file_name: z.boolean().default(true).describe('Attribute `log.file.name`.'),
    include_file_path: z.boolean().default(true).describe('Attribute `log.file.path`.'),
    include_offset: z
      .boolean()
      .default(false)
      .describe(
        'Attributes `log.record.offset` (where the line begins) and `log.record.id` (file and offset: the same when a line is delivered twice).',
      ),
    attributes: facts().default({}).describe('Attributes of every record.'),
    resource: facts()
      .default({})
      .describe('Resource attributes of every record; they win over those found in the path.'),
  })
  .refine(({ fingerprint_size }) => fingerprint_size >= 16, {
    message: 'fingerprint_size must be at least 16',
    path: ['fingerprint_size'],
  })
  .refine(({ line_bytes_max }) => line_bytes_max >= 1 && line_bytes_max <= 16 * 1024 * 1024, {
    message: 'line_bytes_max must be between 1 and 16MiB',
    path: ['line_bytes_max'],
  })
  .refine(({ fingerprint_size }) => fingerprint_size <= 1024 * 1024, {
    message: 'fingerprint_size must be at most 1MiB',
    path: ['fingerprint_size'],
  })
  .refine(({ poll_interval }) => poll_interval >= 1, {
    message: 'poll_interval must be at least 1ms',
    path: ['poll_interval'],
  });

export type Settings = z.output<typeof config>;
