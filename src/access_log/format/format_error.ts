// What is wrong with a format, and where.

/** A format that cannot be used. `position` counts characters from 0; undefined: it concerns the whole. */
export class FormatError extends Error {
  readonly position: number | undefined;
  /** What was probably meant, to be put behind the message. */
  readonly hint: string;

  constructor(message: string, position?: number, hint = '') {
    super(message);
    this.name = 'FormatError';
    this.position = position;
    this.hint = hint;
  }
}
