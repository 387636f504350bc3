// OTLP requests byte by byte: usual ones, and such as no library would write.

export const varint = (value: number): number[] =>
  value < 128 ? [value] : [(value & 127) | 128, ...varint(value >>> 7)];
export const fixed64 = (field: number, value: bigint): number[] => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return [field * 8 + 1, ...bytes];
};
export const part = (field: number, ...content: number[]): number[] => [
  ...varint(field * 8 + 2),
  ...varint(content.length),
  ...content,
];
export const utf8 = (text: string): number[] => [...Buffer.from(text)];
export const pair = (key: number[], ...value: number[]): number[] =>
  part(6, ...part(1, ...key), ...part(2, ...value));
export const text = (key: string, value: string): number[] =>
  pair(utf8(key), ...part(1, ...utf8(value)));
export const list = (...names: string[]): number[] =>
  part(5, ...names.flatMap((name) => part(1, ...part(1, ...utf8(name)))));
/** An AnyValue of text; of a map, from its entries. */
export const textValue = (value: string): number[] => part(1, ...utf8(value));
export const map = (
  ...entries: (readonly [key: readonly number[], value: readonly number[]])[]
): number[] => part(6, ...entries.flatMap(([k, v]) => part(1, ...part(1, ...k), ...part(2, ...v))));
export const request = (records: number[][], scope: number[] = [], resource = part(1)): Buffer =>
  Buffer.from(part(1, ...resource, ...part(2, ...scope, ...records.flatMap((r) => part(2, ...r)))));

export const time = fixed64(1, 1_700_000_000_000_000_001n);
export const observed = fixed64(11, 77n);
export const warning = [0x10, 13, ...part(3, ...utf8('WARN'))];
export const traceId = part(9, ...Buffer.alloc(16, 0xa7));
export const spanId = part(10, ...Buffer.alloc(8, 1));
export const low = 'abc';

export const line = (value: string): number[] => part(5, ...part(1, ...utf8(value)));
