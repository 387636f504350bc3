// The data paths, each with what goes in, the configuration, and what must come out.

import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { jsonLine } from '../src/receivers/demo/lines.ts';
import { demoEntries } from './lines.ts';
import type { Form } from './messages.ts';
import { Sender } from './senders.ts';
import { Sink } from './sinks.ts';

export type Inputs = {
  readonly folder: string;
  readonly records: number;
  readonly lines: { readonly json: readonly string[]; readonly text: readonly string[] };
};

export type Setup = {
  readonly config: string;
  /** The JSON lines of what goes in, where that is not all of the mesh's lines. */
  readonly lines?: readonly string[];
  /** Sends everything in and resolves once everything has come out. It may be called again. */
  run(): Promise<void>;
  close(): Promise<void> | void;
};

export type Path = {
  readonly name: string;
  /** Multiple of JSON.parse that the path should stay at or below. */
  readonly aim: number;
  prepare(inputs: Inputs): Promise<Setup>;
};

const quiet = 'service:\n  admin: { enabled: false }\n  memory_budget: 32MiB\n';

/** The lines again and again until there are `records` of them. */
function repeated(lines: readonly string[], records: number): Buffer {
  const whole = Buffer.from(`${lines.join('\n')}\n`);
  const parts: Buffer[] = [];
  let left = records;
  for (; left >= lines.length; left -= lines.length) parts.push(whole);
  if (left > 0) parts.push(Buffer.from(`${lines.slice(0, left).join('\n')}\n`));
  return Buffer.concat(parts);
}

/** A file that appears in the watched folder at once. Each time another line is its first, so that it is another file. */
function logFile(inputs: Inputs, lines: readonly string[]): () => void {
  const data = repeated(lines, inputs.records);
  const coming = join(inputs.folder, 'coming');
  let first = 0;
  let name = coming;
  return () => {
    rmSync(name, { force: true });
    name = join(inputs.folder, `access-${first}.log`);
    writeFileSync(coming, Buffer.concat([data.subarray(first), data.subarray(0, first)]));
    renameSync(coming, name);
    first = data.indexOf(10, first) + 1;
  };
}

const fileReceiver = (folder: string): string =>
  `receivers:\n  file: { include: ['${folder}/*.log'], start_at: beginning, poll_interval: 50ms }\n`;

const pipeline = (receiver: string, processors: string, exporter: string): string =>
  `${quiet}  pipelines:\n    logs: { receivers: [${receiver}], processors: [${processors}], exporters: [${exporter}] }\n`;

/** Counts the lines of a file that grows. */
class Lines {
  readonly #path: string;
  readonly #chunk = Buffer.allocUnsafe(1 << 20);
  #at = 0;
  #count = 0;

  constructor(path: string) {
    this.#path = path;
    writeFileSync(path, '');
  }

  /** Waits until there are so many. */
  async until(records: number): Promise<void> {
    await using file = await open(this.#path);
    for (let idle = 0; idle < 1500; idle++) {
      for (;;) {
        const { bytesRead } = await file.read(this.#chunk, 0, this.#chunk.length, this.#at);
        if (bytesRead === 0) break;
        this.#add(bytesRead);
        idle = 0;
      }
      if (this.#count >= records) break;
      await new Promise((done) => setTimeout(done, 20));
    }
    if (this.#count !== records) throw new Error(`${this.#count} records instead of ${records}`);
  }

  #add(bytes: number): void {
    this.#at += bytes;
    const chunk = this.#chunk;
    for (let i = chunk.indexOf(10); i >= 0 && i < bytes; i = chunk.indexOf(10, i + 1))
      this.#count++;
  }
}

function fileTo(
  name: string,
  aim: number,
  options: { lines: 'json' | 'text'; processors: string; names: string; disk?: boolean },
): Path {
  return {
    name,
    aim,
    async prepare(inputs) {
      const sink = await Sink.start(name.endsWith('tcp') ? 'tcp' : 'otlp');
      const exporter = name.endsWith('tcp')
        ? `  tcp: { endpoint: '127.0.0.1:${sink.port}', format: original }`
        : `  otlp: { endpoint: '127.0.0.1:${sink.port}', compression: none, tls: { insecure: true }${options.disk ? ', queue: { type: disk, size: 1GiB }' : ''} }`;
      const show = logFile(inputs, inputs.lines[options.lines]);
      let expected = 0;
      const state = options.disk ? `  state_directory: '${inputs.folder}/state'\n` : '';
      return {
        config: `${fileReceiver(inputs.folder)}${options.processors}exporters:\n${exporter}\n${pipeline('file', options.names, name.endsWith('tcp') ? 'tcp' : 'otlp')}${state}`,
        run: () => {
          show();
          expected += inputs.records;
          return sink.until(expected);
        },
        close: () => sink.close(),
      };
    },
  };
}

/** Records of the repeated lines that a keep-all-errors filter of 50 % keeps, by the rule of Envoy's runtime filter. */
function keptOf(lines: readonly string[], records: number): number {
  let kept = 0;
  for (let i = 0; i < records; i++) {
    const record = JSON.parse(lines[i % lines.length] ?? '{}') as {
      response_code: number;
      response_flags: string;
      request_id: string | null;
    };
    const random = Number.parseInt(record.request_id?.slice(0, 8) ?? '', 16);
    if (record.response_code >= 400 || random % 100 < 50) kept++;
  }
  return kept;
}

const fileToFile: Path = {
  name: 'file_to_file',
  aim: 1.2,
  async prepare(inputs) {
    // Connections without a request id are kept or not by chance: they are left out here, so that the count is exact.
    const lines = inputs.lines.json.filter((line) => !line.includes('"request_id":null'));
    const show = logFile(inputs, lines);
    const out = join(inputs.folder, 'out.jsonl');
    const written = new Lines(out);
    const kept = keptOf(lines, inputs.records);
    let expected = 0;
    return {
      config: `${fileReceiver(inputs.folder)}processors:
  parse: { format: json }
  sample: { percent: 50, keep_if: 'response.code >= 400' }
exporters:
  file: { path: '${out}' }
${pipeline('file', 'parse, sample', 'file')}`,
      run: async () => {
        show();
        expected += kept;
        await written.until(expected);
      },
      close: () => undefined,
    };
  },
};

const tcpToFile: Path = {
  name: 'tcp_to_file',
  aim: 1.6,
  async prepare(inputs) {
    const out = join(inputs.folder, 'out.jsonl');
    const data = repeated(inputs.lines.json, inputs.records);
    const written = new Lines(out);
    const socket = join(inputs.folder, 'in.sock');
    let expected = 0;
    return {
      config: `receivers:
  tcp: { endpoint: 'unix:${socket}' }
processors:
  parse: { format: json }
exporters:
  file: { path: '${out}' }
${pipeline('tcp', 'parse', 'file')}`,
      run: async () => {
        const peer = connect(socket);
        peer.end(data);
        expected += inputs.records;
        await written.until(expected);
        peer.destroy();
      },
      close: () => undefined,
    };
  },
};

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as { port: number };
  await new Promise((done) => server.close(done));
  return port;
}

/** Proxies that send over gRPC: entries of HTTP requests. */
function grpcTo(
  name: string,
  aim: number,
  options: { form: Form; to: 'otlp' | 'text'; connections?: number },
): Path {
  const { form, to, connections = 1 } = options;
  const receiver = form === 'als' ? 'envoy_als' : 'otlp';
  return {
    name,
    aim,
    async prepare({ folder, records }) {
      const entries = demoEntries(20_000).filter(({ method }) => method !== undefined);
      const port = await freePort();
      const file = join(folder, 'sent');
      const sender = Sender.prepare(form, entries, { file, port, records, connections });
      const sink = to === 'otlp' ? await Sink.start('otlp') : undefined;
      const out = join(folder, 'out.log');
      const written = new Lines(out);
      let expected = 0;
      const endpoint = `endpoint: '127.0.0.1:${port}'`;
      const exporter =
        sink === undefined
          ? `  file: { path: '${out}', format: istio_text }`
          : `  otlp: { endpoint: '127.0.0.1:${sink.port}', compression: none, tls: { insecure: true } }`;
      return {
        config: `receivers:
  ${receiver}: { ${form === 'als' ? endpoint : `grpc: { ${endpoint} }`} }
exporters:
${exporter}
${pipeline(receiver, '', to === 'otlp' ? 'otlp' : 'file')}`,
        lines: entries.map(jsonLine),
        run: async () => {
          expected += records;
          const arrived = sink?.until(expected) ?? written.until(expected);
          await Promise.all([sender.run(), arrived]);
        },
        close: () => {
          sender.close();
          sink?.close();
        },
      };
    },
  };
}

export const paths: readonly Path[] = [
  fileTo('file_to_tcp', 0.6, { lines: 'json', processors: '', names: '' }),
  fileTo('file_to_otlp', 2.0, {
    lines: 'json',
    processors: 'processors:\n  parse: { format: json }\n  enrich: { mesh: bench }\n',
    names: 'parse, enrich',
  }),
  // At most half of JSON.parse more than with a queue in memory.
  fileTo('file_to_otlp_disk', 2.5, {
    lines: 'json',
    processors: 'processors:\n  parse: { format: json }\n  enrich: { mesh: bench }\n',
    names: 'parse, enrich',
    disk: true,
  }),
  fileToFile,
  tcpToFile,
  fileTo('text_to_otlp', 2.0, {
    lines: 'text',
    processors: 'processors:\n  parse: { format: istio_text }\n  enrich: { mesh: bench }\n',
    names: 'parse, enrich',
  }),
  grpcTo('als_to_otlp', 2.0, { form: 'als', to: 'otlp' }),
  grpcTo('als_to_text', 2.0, { form: 'als', to: 'text' }),
  // Records with typed attributes, as others than Envoy send them, or another meshlog: one peer with eight calls under way,
  // and the peers of a node that has much to do. The more is under way, the more go into one batch.
  grpcTo('otlp_to_otlp', 1.0, { form: 'otlp', to: 'otlp' }),
  grpcTo('otlp_to_otlp_peers', 1.0, { form: 'otlp', to: 'otlp', connections: 8 }),
  // What Envoy's own OpenTelemetry logger sends: every value is text, which becomes typed fields.
  grpcTo('otlp_envoy_to_otlp', 1.0, { form: 'otlp_envoy', to: 'otlp' }),
  // Lines as bodies.
  grpcTo('otlp_lines_to_otlp', 1.0, { form: 'otlp_lines', to: 'otlp' }),
  // Maps as bodies: what meshlog sends with `body: fields`.
  grpcTo('otlp_maps_to_otlp', 1.5, { form: 'otlp_maps', to: 'otlp' }),
];
