// Who speaks on a stream: the identifier of its first message, as facts of every batch that comes from it.

import { LENGTH_DELIMITED, ProtobufReader } from '../../pipeline/protobuf_reader.ts';
import type { AnyValue, Attributes } from '../../pipeline/record.ts';
import { readStruct } from './struct.ts';

type Facts = Record<string, AnyValue>;

/** The Identifier in bytes[start, end) as resource facts. What is malformed is left out. */
export function readIdentifier(bytes: Buffer, start: number, end: number): Attributes {
  const facts: Facts = {};
  const reader = new ProtobufReader(bytes, start, end);
  while (reader.next()) {
    if (reader.wireType !== LENGTH_DELIMITED) continue;
    if (reader.field === 1) readNode(facts, bytes, reader.start, reader.stop);
    else if (reader.field === 2) put(facts, 'envoy.log_name', bytes, reader);
  }
  return facts;
}

const nodeTexts: Readonly<Record<number, string>> = {
  1: 'envoy.node.id',
  2: 'envoy.node.cluster',
  6: 'envoy.node.user_agent_name',
  7: 'envoy.node.user_agent_version',
};
const metadataField = 3;
const localityField = 4;
const buildVersionField = 8;

function readNode(facts: Facts, bytes: Buffer, start: number, end: number): void {
  const reader = new ProtobufReader(bytes, start, end);
  while (reader.next()) {
    if (reader.wireType !== LENGTH_DELIMITED) continue;
    const name = nodeTexts[reader.field];
    if (name !== undefined) put(facts, name, bytes, reader);
    else if (reader.field === metadataField) {
      const metadata = readStruct(bytes, reader.start, reader.stop);
      if (metadata !== undefined) facts['envoy.node.metadata'] = metadata;
    } else if (reader.field === localityField) {
      readLocality(facts, bytes, reader.start, reader.stop);
    } else if (reader.field === buildVersionField) {
      const version = readVersion(bytes, reader.start, reader.stop);
      if (version !== undefined) facts['envoy.node.user_agent_version'] = version;
    }
  }
}

const localityTexts: Readonly<Record<number, string>> = {
  1: 'envoy.node.locality.region',
  2: 'envoy.node.locality.zone',
  3: 'envoy.node.locality.sub_zone',
};

function readLocality(facts: Facts, bytes: Buffer, start: number, end: number): void {
  const reader = new ProtobufReader(bytes, start, end);
  while (reader.next()) {
    const name = localityTexts[reader.field];
    if (name !== undefined && reader.wireType === LENGTH_DELIMITED) put(facts, name, bytes, reader);
  }
}

/** `1.31.0` of a BuildVersion. */
function readVersion(bytes: Buffer, start: number, end: number): string | undefined {
  const build = new ProtobufReader(bytes, start, end);
  const parts = [0, 0, 0];
  let found = false;
  while (build.next()) {
    if (build.field !== 1 || build.wireType !== LENGTH_DELIMITED) continue;
    found = true;
    const version = new ProtobufReader(bytes, build.start, build.stop);
    while (version.next()) if (version.field <= 3) parts[version.field - 1] = version.low;
  }
  return found ? parts.join('.') : undefined;
}

function put(facts: Facts, name: string, bytes: Buffer, reader: ProtobufReader): void {
  if (reader.stop > reader.start) facts[name] = bytes.utf8Slice(reader.start, reader.stop);
}
