// Bodies and attributes that formats describe: the trees of access_log/any_value.ts, written for each row.

import {
  beginValue,
  type KeyNode,
  type TextLeaf,
  type ValueNode,
} from '../../access_log/any_value.ts';
import type { Piece } from '../../access_log/render/piece.ts';
import type { Batch } from '../../pipeline/batch.ts';
import type { AnyValue } from '../../pipeline/record.ts';
import { ByteWriter } from '../byte_writer.ts';
import { ARRAY, FLOAT64, KVLIST, putAnyValue, STRING } from './any_value.ts';
import { encodeOnce, isText } from './cell.ts';
import type { RowWriter } from './fields.ts';
import type { ProtobufWriter } from './writer.ts';

const LIST_ITEM = 0x0a;
const KEY = 0x0a;
const VALUE = 0x12;
const ATTRIBUTES = 0x32;

/** What a leaf prints before it is put behind its length. */
const scratch = new ByteWriter(1 << 12);

/** A body: an AnyValue behind its length. */
export function renderedBody(node: ValueNode): RowWriter {
  return {
    prepare: (batch) => beginValue(node, batch),
    write: (out, row) => putNode(out, node, row),
  };
}

/** Attributes: KeyValues behind their tag. One whose operator has no value and keeps its type is left out. */
export function renderedAttributes(entries: readonly KeyNode[]): RowWriter {
  return {
    prepare: (batch) => beginAll(entries, batch),
    write: (out, row) => {
      for (const entry of entries) putEntry(out, ATTRIBUTES, entry, row);
    },
  };
}

function beginAll(entries: readonly KeyNode[], batch: Batch): void {
  for (const { key, value } of entries) {
    key.begin(batch);
    beginValue(value, batch);
  }
}

function putEntry(out: ProtobufWriter, tag: number, entry: KeyNode, row: number): void {
  const { key, value } = entry;
  const typed = value.kind === 'typed' ? typedValue(value.piece, row) : undefined;
  if (value.kind === 'typed' && typed === undefined) return;
  out.byte(tag);
  const mark = out.open(1);
  out.byte(KEY);
  putLeaf(out, key, row);
  out.byte(VALUE);
  if (typed === undefined) putNode(out, value, row);
  else putAnyValue(out, typed);
  out.close(mark, 1);
}

function putNode(out: ProtobufWriter, node: ValueNode, row: number): void {
  if (node.kind === 'typed') {
    putAnyValue(out, typedValue(node.piece, row));
    return;
  }
  if (node.kind === 'constant') {
    out.put(constantBytes(node));
    return;
  }
  const mark = out.open(1);
  switch (node.kind) {
    case 'text':
      out.byte(STRING);
      putLeaf(out, node.leaf, row);
      break;
    case 'double':
      out.byte(FLOAT64);
      out.double(node.value);
      break;
    case 'array': {
      out.byte(ARRAY);
      const list = out.open(1);
      for (const item of node.items) {
        out.byte(LIST_ITEM);
        putNode(out, item, row);
      }
      out.close(list, 1);
      break;
    }
    case 'kvlist': {
      out.byte(KVLIST);
      const list = out.open(1);
      for (const entry of node.entries) putEntry(out, LIST_ITEM, entry, row);
      out.close(list, 1);
      break;
    }
  }
  out.close(mark, 1);
}

const constants = new WeakMap<ValueNode, Buffer>();

function constantBytes(node: Extract<ValueNode, { kind: 'constant' }>): Buffer {
  let bytes = constants.get(node);
  if (bytes === undefined) {
    bytes = encodeOnce((out) => putAnyValue(out, node.value));
    constants.set(node, bytes);
  }
  return bytes;
}

/** What a leaf prints, behind its length. OTLP's strings are UTF-8: what is none becomes so. */
function putLeaf(out: ProtobufWriter, leaf: TextLeaf, row: number): void {
  scratch.reset();
  leaf.render(row, scratch);
  const { buffer, view, at } = scratch;
  if (!isText(buffer, view, 0, at)) {
    out.string(buffer.utf8Slice(0, at));
    return;
  }
  out.varint(at);
  out.span(buffer, view, 0, at);
}

/** A value with its type; undefined: there is none. */
function typedValue(piece: Piece, row: number): AnyValue | undefined {
  scratch.reset();
  if (!piece.json(row, scratch)) return undefined;
  try {
    return JSON.parse(scratch.buffer.utf8Slice(0, scratch.at)) as AnyValue;
  } catch {
    // Infinity is no JSON.
    return undefined;
  }
}
