// What an export failure says: whether trying again can help, and when.

/** An export that failed. Retryable: the queue tries again; permanent: the records go to the dead letter. */
export class ExportError extends Error {
  readonly retryable: boolean;
  /** The receiver's own wish (Retry-After, RetryInfo), in milliseconds. */
  readonly retryAfterMs: number | undefined;
  /** True when the request was refused for its size: halves of it may pass. */
  readonly tooLarge: boolean;

  constructor(
    message: string,
    options: {
      retryable: boolean;
      retryAfterMs?: number | undefined;
      tooLarge?: boolean;
      cause?: unknown;
    },
  ) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.name = 'ExportError';
    this.retryable = options.retryable;
    this.retryAfterMs = options.retryAfterMs;
    this.tooLarge = options.tooLarge ?? false;
  }
}

/** A batch that the pipeline did not take over. Receivers pass it on in their protocol's words. */
export class RefusedError extends Error {
  readonly retryable: boolean;
  readonly retryAfterMs: number | undefined;

  constructor(message: string, options: { retryable: boolean; retryAfterMs?: number }) {
    super(message);
    this.name = 'RefusedError';
    this.retryable = options.retryable;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** The messages of an error and its causes, joined as one line. */
export function errorChain(error: unknown): string {
  const parts: string[] = [];
  for (let at: unknown = error, i = 0; at !== undefined && at !== null && i < 8; i++) {
    const message = at instanceof Error ? at.message || at.name : String(at);
    if (message !== '' && !parts.some((part) => part.includes(message))) parts.push(message);
    at = at instanceof Error ? at.cause : undefined;
  }
  return parts.join(': ');
}

/** SQLite's primary result codes for what a volume does not let it do: PERM, READONLY, IOERR, FULL, CANTOPEN, AUTH. */
const volumeCodes = new Set([3, 8, 10, 13, 14, 23]);

/** Whether the file system is what refuses, somewhere in the chain: read-only, full, no permission, broken. */
export function isVolumeTrouble(error: unknown): boolean {
  for (let at: unknown = error, i = 0; at instanceof Error && i < 8; i++, at = at.cause) {
    const { syscall, errcode } = at as NodeJS.ErrnoException & { errcode?: number };
    if (syscall !== undefined) return true;
    if (errcode !== undefined && volumeCodes.has(errcode & 0xff)) return true;
  }
  return false;
}
