// What the receiver counts, all its files together: a label per file would grow without end.

import type { Context, Counter } from '../../pipeline/component.ts';

export type Counters = {
  readonly readBytes: Counter;
  readonly rotations: Counter;
  readonly truncations: Counter;
  readonly unreadBytes: Counter;
  readonly errors: Counter;
  readonly unframed: Counter;
  readonly truncatedLines: Counter;
  readonly refusals: Counter;
};

export function counters(context: Context): Counters {
  const count = (name: string, help: string): Counter =>
    context.metrics.counter(`meshlog_file_${name}_total`, help, { receiver: context.id });
  return {
    readBytes: count('read_bytes', 'Bytes read from files.'),
    rotations: count(
      'rotations',
      'Files that their path led away from: renamed, replaced, deleted.',
    ),
    truncations: count('truncations', 'Files that were emptied and began anew.'),
    unreadBytes: count(
      'unread_bytes',
      'Bytes known to have been in a file when it was emptied or lost before they were read.',
    ),
    errors: count('errors', 'Failures to look at, open or read a file or folder.'),
    unframed: count(
      'unframed_lines',
      'Lines without the framing that was expected, passed on whole.',
    ),
    truncatedLines: count('truncated_lines', 'Lines cut at line_bytes_max (policy truncate).'),
    refusals: count('refused_batches', 'Batches that were refused and offered again.'),
  };
}
