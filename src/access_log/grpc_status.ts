// gRPC status codes by number, in the two spellings that Envoy prints.

const camel = [
  'OK',
  'Canceled',
  'Unknown',
  'InvalidArgument',
  'DeadlineExceeded',
  'NotFound',
  'AlreadyExists',
  'PermissionDenied',
  'ResourceExhausted',
  'FailedPrecondition',
  'Aborted',
  'OutOfRange',
  'Unimplemented',
  'Internal',
  'Unavailable',
  'DataLoss',
  'Unauthenticated',
];

const snake = camel.map((name) =>
  name === 'Canceled' ? 'CANCELLED' : name.replace(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase(),
);

const numbers = new Map<string, number>([
  ...camel.map((name, number) => [name, number] as const),
  ...snake.map((name, number) => [name, number] as const),
  ...camel.map((_, number) => [String(number), number] as const),
  ['CANCELED', 1],
]);

/** The number of a status in any spelling; undefined when it is none of the known ones. */
export function grpcNumberOf(text: string): number | undefined {
  return numbers.get(text);
}

/** The name of a status in any spelling, as %GRPC_STATUS% prints it: `response.grpc_status`. */
export function grpcNameOf(text: string): string | undefined {
  const number = numbers.get(text);
  return number === undefined ? undefined : camel[number];
}

/** A status as it is printed; the number itself when it has no name. */
export function grpcText(number: number, spelling: 'CAMEL_STRING' | 'SNAKE_STRING'): string {
  return (spelling === 'CAMEL_STRING' ? camel : snake)[number] ?? String(number);
}

/** What Envoy infers from the HTTP status of a gRPC response that carries no status of its own. */
export function grpcOfHttp(code: number): number {
  switch (code) {
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
