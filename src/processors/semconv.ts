// Renames fields to OpenTelemetry's semantic conventions for HTTP, network and TLS, splitting what those keep apart.

import { z } from 'zod';
import { fields } from '../access_log/fields.ts';
import { FieldReader, type Source } from '../access_log/filter/field_reader.ts';
import { FlagsReader } from '../access_log/filter/flags_reader.ts';
import { grpcNumberOf } from '../access_log/grpc_status.ts';
import { Names } from '../mesh/names.ts';
import type { Batch } from '../pipeline/batch.ts';
import { ABSENT, type Column, NUMBER, TEXT } from '../pipeline/column.ts';
import { type Processor, processor } from '../pipeline/component.ts';

const config = z.strictObject({
  headers: z
    .boolean()
    .default(true)
    .describe(
      'Whether headers become http.request.header.<name> and http.response.header.<name>, lists of texts.',
    ),
  error_type: z
    .boolean()
    .default(true)
    .describe(
      'Whether failed requests get error.type: the status from 500 on, else the first response flag.',
    ),
});

type Settings = z.output<typeof config>;

export const semconv = processor({
  name: 'semconv',
  summary: "Renames fields to OpenTelemetry's semantic conventions.",
  config,
  example: `semconv:
  headers: false`,
  notes: `Fields without a convention keep their names. Put it behind filters and samplers, or write those in the new
names, which they understand too. Loses nothing.`,
  create: (settings) => create(settings),
});

/** Fields that need more than another name. */
const split = new Set([
  'request.path',
  'request.host',
  'request.protocol',
  'source.address',
  'source.direct_address',
  'destination.address',
  'destination.port',
  'connection.tls_version',
  'response.grpc_status',
  'request.referer',
]);

const renames: readonly (readonly [string, string])[] = [...fields.values()].flatMap(
  ({ name, semconv: to }) => (to === undefined || split.has(name) ? [] : [[name, to] as const]),
);

/** Parts of a field that get names of their own: part, name, kind of cell. */
type Part = readonly [cut: NonNullable<Source['cut']>, to: string, kind: number];

const parts: Readonly<Record<string, readonly Part[]>> = {
  'request.path': [
    ['path', 'url.path', TEXT],
    ['query', 'url.query', TEXT],
  ],
  'request.host': [
    ['host', 'server.address', TEXT],
    ['port', 'server.port', NUMBER],
  ],
  'source.address': [
    ['host', 'client.address', TEXT],
    ['port', 'client.port', NUMBER],
  ],
  'source.direct_address': [
    ['host', 'network.peer.address', TEXT],
    ['port', 'network.peer.port', NUMBER],
  ],
  'destination.address': [
    ['host', 'network.local.address', TEXT],
    ['port', 'network.local.port', NUMBER],
  ],
};

function create(settings: Settings): Processor {
  const steps = [
    ...(settings.error_type ? [errorType()] : []),
    ...Object.entries(parts).map(([name, all]) => splitter(name, all)),
    protocols(),
    tlsVersions(),
    grpcStatuses,
    serverOfConnections,
    ...(settings.headers ? [headers] : []),
  ];
  return {
    process: (batch) => {
      for (const [name, to] of renames) batch.renameColumn(name, to);
      for (const step of steps) step(batch);
      return batch;
    },
  };
}

type Step = (batch: Batch) => void;

/** Spreads a field over several; it is gone afterwards. Bytes stay where they are. */
function splitter(name: string, all: readonly Part[]): Step {
  const readers = all.map(([cut]) => new FieldReader([{ name, cut }]));
  return (batch) => {
    const source = batch.column(name);
    if (source === undefined) return;
    all.forEach(([, to, kind], i) => {
      const reader = readers[i]!;
      reader.bind(batch);
      const column = batch.ownColumn(to);
      for (let at = 0; at < batch.count; at++) {
        const row = batch.selection[at]!;
        if (source.kind[row] === ABSENT || !reader.span(row) || reader.start === reader.end)
          continue;
        writeSpan(batch, { column, row, kind, reader });
      }
    });
    batch.removeColumn(name);
  };
}

function writeSpan(
  batch: Batch,
  { column, row, kind, reader }: { column: Column; row: number; kind: number; reader: FieldReader },
): void {
  if (reader.bytes === batch.bytes) column.setSpan(row, kind, reader.start, reader.end);
  else {
    const text = reader.bytes.utf8Slice(reader.start, reader.end);
    batch.setValue(column, row, kind === NUMBER ? Number(text) : text);
  }
}

/** For TCP nobody named the server: it is the address that the client connected to. */
function serverOfConnections(batch: Batch): void {
  const address = batch.column('network.local.address');
  if (address === undefined) return;
  const port = batch.column('network.local.port');
  const server = batch.ownColumn('server.address');
  const serverPort = batch.ownColumn('server.port');
  for (let i = 0; i < batch.count; i++) {
    const row = batch.selection[i]!;
    if (server.kind[row] !== ABSENT) continue;
    batch.setValue(server, row, batch.value(address, row));
    batch.setValue(serverPort, row, batch.value(port, row));
  }
}

/** Replaces a text field by what its few distinct values mean; undefined leaves the new field out. */
function meanings(
  name: string,
  targets: readonly string[],
  read: (text: string) => readonly (string | undefined)[],
): Step {
  const names = new Names(1000);
  const known = new Map<string, readonly number[]>();
  return (batch) => {
    const source = batch.column(name);
    if (source === undefined) return;
    if (names.renew() || known.size > 1000) known.clear();
    const columns = targets.map((to) => batch.ownColumn(to));
    for (const column of columns) column.dictionary = names.dictionary;
    for (let i = 0; i < batch.count; i++) {
      const row = batch.selection[i]!;
      const text = batch.text(source, row);
      if (text === undefined) continue;
      let codes = known.get(text);
      if (codes === undefined) {
        codes = read(text).map((value) => names.code(value));
        known.set(text, codes);
      }
      codes.forEach((code, c) => {
        if (code >= 0) columns[c]!.setCode(row, code);
      });
    }
    batch.removeColumn(name);
  };
}

const protocols = (): Step =>
  meanings('request.protocol', ['network.protocol.name', 'network.protocol.version'], (text) => {
    const [name = '', version] = text.toLowerCase().split('/');
    return [name, version?.replace(/^([23])\.0$/, '$1')];
  });

const tlsVersions = (): Step =>
  meanings('connection.tls_version', ['tls.protocol.name', 'tls.protocol.version'], (text) => {
    const [, version, minor = '0'] = /^TLSv(\d)(?:[._](\d))?$/i.exec(text) ?? [];
    return version === undefined ? [undefined, text] : ['tls', `${version}.${minor}`];
  });

function grpcStatuses(batch: Batch): void {
  const source = batch.column('response.grpc_status');
  if (source === undefined) return;
  const column = batch.ownColumn('rpc.grpc.status_code');
  for (let i = 0; i < batch.count; i++) {
    const row = batch.selection[i]!;
    const text = batch.text(source, row);
    if (text !== undefined) batch.setValue(column, row, grpcNumberOf(text) ?? text);
  }
  batch.removeColumn('response.grpc_status');
}

/** The conventions want lists: a header can be there several times. */
function headers(batch: Batch): void {
  const referer = 'request.headers.referer';
  batch.renameColumn('request.referer', referer);
  for (const { name } of [...batch.columns]) {
    const match = /^(request|response)\.headers\.(.+)$/.exec(name);
    if (match === null) continue;
    const column = batch.ownColumn(name);
    for (let i = 0; i < batch.count; i++) {
      const row = batch.selection[i]!;
      const text = batch.text(column, row);
      if (text !== undefined) batch.setValue(column, row, [text]);
    }
    batch.renameColumn(name, `http.${match[1]}.header.${match[2]}`);
  }
}

function errorType(): Step {
  const flags = new FlagsReader();
  const names = new Names(1000);
  return (batch) => {
    names.renew();
    flags.bind(batch);
    const code = batch.column('http.response.status_code');
    let column: Column | undefined;
    for (let i = 0; i < batch.count; i++) {
      const row = batch.selection[i]!;
      const status = batch.number(code, row) || 0;
      const type = status >= 500 ? String(status) : status === 0 ? flags.names(row)[0] : undefined;
      if (type === undefined) continue;
      if (column === undefined) {
        column = batch.ownColumn('error.type');
        column.dictionary = names.dictionary;
      }
      column.setCode(row, names.code(type));
    }
  };
}
