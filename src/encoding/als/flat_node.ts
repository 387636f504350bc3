// What Istio's proxies before 1.24 hand each other as peer metadata: a FlatBuffer. It becomes the words of node metadata,
// which the proxies write it from.

/** Words by the index of a field in the table FlatNode. */
const texts: readonly (readonly [index: number, word: string])[] = [
  [0, 'NAME'],
  [1, 'NAMESPACE'],
  [3, 'OWNER'],
  [4, 'WORKLOAD_NAME'],
  [6, 'ISTIO_VERSION'],
  [7, 'MESH_ID'],
  [9, 'CLUSTER_ID'],
  [11, 'IDENTITY'],
];
const labels = 2;
const labelsMax = 256;

/** The peer in bytes[start, end); undefined when they are no FlatNode. Never reads outside of them. */
export function readFlatNode(
  bytes: Buffer,
  start: number,
  end: number,
): Record<string, string | Record<string, string>> | undefined {
  const buffer = bytes.subarray(start, end);
  const root = offsetAt(buffer, 0);
  if (root === undefined) return undefined;
  const node: Record<string, string | Record<string, string>> = {};
  for (const [index, word] of texts) {
    const text = textAt(buffer, fieldAt(buffer, root, index));
    if (text !== undefined && text !== '') node[word] = text;
  }
  const pairs = pairsAt(buffer, fieldAt(buffer, root, labels));
  if (pairs !== undefined) node['LABELS'] = pairs;
  return Object.keys(node).length === 0 ? undefined : node;
}

/** The position that the offset at `at` leads to. */
function offsetAt(buffer: Buffer, at: number | undefined): number | undefined {
  if (at === undefined || at + 4 > buffer.length) return undefined;
  const offset = buffer.readUInt32LE(at);
  return offset > 0 && at + offset + 4 <= buffer.length ? at + offset : undefined;
}

/** The position of a field of the table at `table`. */
function fieldAt(buffer: Buffer, table: number, index: number): number | undefined {
  const vtable = table - buffer.readInt32LE(table);
  if (vtable < 0 || vtable + 4 > buffer.length) return undefined;
  const entry = 4 + index * 2;
  if (entry + 2 > buffer.readUInt16LE(vtable) || vtable + entry + 2 > buffer.length) {
    return undefined;
  }
  const offset = buffer.readUInt16LE(vtable + entry);
  return offset === 0 || table + offset + 4 > buffer.length ? undefined : table + offset;
}

function textAt(buffer: Buffer, field: number | undefined): string | undefined {
  const at = offsetAt(buffer, field);
  if (at === undefined) return undefined;
  const end = at + 4 + buffer.readUInt32LE(at);
  return end > buffer.length ? undefined : buffer.utf8Slice(at + 4, end);
}

/** A vector of tables with a key and a value. */
function pairsAt(buffer: Buffer, field: number | undefined): Record<string, string> | undefined {
  const at = offsetAt(buffer, field);
  if (at === undefined) return undefined;
  const count = Math.min(buffer.readUInt32LE(at), labelsMax);
  const pairs: [string, string][] = [];
  for (let i = 0; i < count; i++) {
    const table = offsetAt(buffer, at + 4 + i * 4);
    if (table === undefined) return undefined;
    const key = textAt(buffer, fieldAt(buffer, table, 0));
    if (key !== undefined) pairs.push([key, textAt(buffer, fieldAt(buffer, table, 1)) ?? '']);
  }
  return Object.fromEntries(pairs);
}
