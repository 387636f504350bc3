// A record as OpenTelemetry describes it: what adapters, plug-ins and tests see of a row.

/** OpenTelemetry's AnyValue. A bigint is an integer beyond 2^53; a number is an int when it is one. */
export type AnyValue =
  | string
  | number
  | bigint
  | boolean
  | null
  | Uint8Array
  | readonly AnyValue[]
  | { readonly [key: string]: AnyValue };

export type Attributes = { readonly [key: string]: AnyValue };

/** One row in full. Times are nanoseconds since 1970; absent fields are undefined. */
export type LogRecord = {
  time: bigint | undefined;
  observedTime: bigint;
  severityNumber: number | undefined;
  severityText: string | undefined;
  body: AnyValue | undefined;
  attributes: Record<string, AnyValue>;
  resource: Attributes;
  traceId: string | undefined;
  spanId: string | undefined;
};

/** OpenTelemetry's severity numbers for the texts that the pipeline writes. */
export const severityNumbers = {
  TRACE: 1,
  DEBUG: 5,
  INFO: 9,
  WARN: 13,
  ERROR: 17,
  FATAL: 21,
} as const;

export function severityText(number: number): string {
  if (number >= 21) return 'FATAL';
  if (number >= 17) return 'ERROR';
  if (number >= 13) return 'WARN';
  if (number >= 9) return 'INFO';
  return number >= 5 ? 'DEBUG' : 'TRACE';
}
