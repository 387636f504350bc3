// The named places at which the process can be told to die: MESHLOG_FAULT=name or name:n.

/** Of the disk queue: before and after each write that matters. */
export const diskFaults = [
  'before_persist',
  'before_commit',
  'after_commit',
  'before_rotate',
  'after_rotate',
  'before_checkpoint',
  'after_checkpoint',
  'before_unlink',
  'after_unlink',
] as const;

/** Of every queue. */
export const exportFaults = ['before_export', 'after_export'] as const;

/** Of the file receiver. */
export const fileFaults = [
  'before_file_checkpoint',
  'inside_file_checkpoint',
  'after_file_checkpoint',
] as const;

export const allFaults = [...diskFaults, ...exportFaults, ...fileFaults];
