// gRPC status codes by number and by the names that Envoy's operators, its filters and gRPC itself spell.

const names = [
  'OK',
  'CANCELLED',
  'UNKNOWN',
  'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED',
] as const;

const flatten = (name: string): string => name.replaceAll('_', '').toLowerCase();
const codes = new Map<string, number>(names.map((name, code) => [flatten(name), code]));
// Envoy's enum spells it with one L.
codes.set('canceled', 1);

/** The names that a filter can list. */
export const grpcStatusNames: readonly string[] = names.map((name) =>
  name === 'CANCELLED' ? 'CANCELED' : name,
);

/** The code of a status written as `14`, `UNAVAILABLE` or `Unavailable`; NaN when it is none. */
export function grpcCode(text: string | undefined): number {
  if (text === undefined || text === '') return Number.NaN;
  if (/^\d{1,9}$/.test(text)) return Number(text);
  return codes.get(flatten(text)) ?? Number.NaN;
}

/** The code that an HTTP status stands for where a response carries none. */
export function grpcCodeOfHttp(status: number): number {
  switch (status) {
    case 400:
      return 13;
    case 401:
      return 16;
    case 403:
      return 7;
    case 404:
      return 12;
    case 429:
    case 502:
    case 503:
    case 504:
      return 14;
    default:
      return 2;
  }
}
