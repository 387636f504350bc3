// Standard output as a sink: a pipe or a terminal, whose reader may be slow or gone.

import { ExportError } from '../../pipeline/errors.ts';
import type { Sink } from './file.ts';

/** Writes to a stream that is not ours to close; a write resolves when the stream has passed it on. */
export class StandardStream implements Sink {
  readonly #stream: NodeJS.WriteStream;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  async start(): Promise<void> {}

  write(data: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      // The caller reuses its buffer once we resolve, which is after the stream has let go of it.
      this.#stream.write(data, (error) => {
        if (error) {
          const failure = { retryable: true, cause: error };
          reject(new ExportError('cannot write to standard output', failure));
        } else resolve();
      });
    });
  }

  async reopen(): Promise<void> {}

  async close(): Promise<void> {}
}
