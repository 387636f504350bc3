// What is wrong with an expression, and at which of its characters.

/** An expression that cannot be used. `stage` says whether it could be read at all. */
export class CelError extends Error {
  readonly offset: number;
  readonly stage: 'parse' | 'check';

  constructor(message: string, offset: number, stage: 'parse' | 'check' = 'check') {
    super(message);
    this.name = 'CelError';
    this.offset = offset;
    this.stage = stage;
  }
}
