import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadConfig, readConfig } from '../../src/config/load.ts';
import { load, standIn, told } from './stand_in.ts';

const base = `receivers:
  nop:
  tcp: { endpoint: ":1", framing: cri }
processors: { sample: { percent: 5 } }
exporters: { otlp: { endpoint: x, headers: { a: "1" } } }
service:
  pipelines:
    logs: { receivers: [nop, tcp], processors: [sample], exporters: [otlp] }
`;

describe('a configuration that is right', () => {
  const { config } = load(base);

  test('has typed, defaulted, frozen instances, with what was written and where', () => {
    const tcp = config?.receivers.find(({ id }) => id === 'tcp');
    expect(tcp).toMatchObject({
      kind: 'receiver',
      type: 'tcp',
      name: '',
      config: { endpoint: { port: 1 }, line_bytes_max: 1024 ** 2, connections_max: 1000 },
      raw: { endpoint: ':1', framing: 'cri' },
      position: { file: 'config.yaml', line: 3, column: 3 },
    });
    const otlp = config?.exporters[0]?.config as { headers: object; queue: object };
    for (const frozen of [config, tcp, tcp?.config, otlp.headers]) {
      expect(Object.isFrozen(frozen)).toBe(true);
    }
    expect(otlp).toMatchObject({
      timeout: 10_000,
      queue: { type: 'memory', size: 64 * 1024 ** 2 },
    });
  });

  test('has the defaults of the service', () => {
    expect(config?.service).toMatchObject({
      memory_budget: 64 * 1024 ** 2,
      grace_period: 25_000,
      admin: { enabled: true, endpoint: { kind: 'tcp', host: '127.0.0.1', port: 8888 } },
      telemetry: { logs: { level: 'info', format: 'text' } },
    });
  });

  test('keeps what a transform made as it is', () => {
    const text = base.replace('{ sample:', '{ filter: { expression: a }, sample:');
    const filter = load(text).config?.processors[0]?.config as { expression: object };
    expect(filter).toEqual({ expression: { compiled: 'a' } });
    expect(Object.isFrozen(filter.expression)).toBe(false);
  });
});

describe('several sources', () => {
  const merged = (...texts: string[]) =>
    loadConfig(
      texts.map((text, index) => ({ file: `${index}.yaml`, text })),
      standIn,
      {},
    );

  test('merge maps, replace lists and values, and are left alone by what says nothing', () => {
    const { config, problems } = merged(
      base,
      'receivers: { tcp: { framing: docker }, tcp/two: { endpoint: ":2" } }\nprocessors:\n',
      'service: { pipelines: { logs: { receivers: [tcp/two] } } }\nexporters: { otlp: }\n',
    );
    expect(told(problems)).toEqual([]);
    expect(config?.receivers.map(({ raw }) => raw)).toEqual([
      {},
      { endpoint: ':1', framing: 'docker' },
      { endpoint: ':2' },
    ]);
    expect(config?.pipelines).toEqual([
      { id: 'logs', receivers: ['tcp/two'], processors: ['sample'], exporters: ['otlp'] },
    ]);
    expect(config?.exporters[0]?.raw).toEqual({ endpoint: 'x', headers: { a: '1' } });
  });

  test('are each pointed at for their own problems, in their order', () => {
    const { problems } = merged(
      base.replace('cri', 'crii'),
      'exporters:\n  otlp: { timeout: soon }\nreceivers: { tcp: { tls: { kert_file: a } } }\n',
    );
    expect(problems.map(({ file, line }) => `${file}:${line}`)).toEqual([
      '0.yaml:3',
      '1.yaml:2',
      '1.yaml:3',
      '1.yaml:3',
    ]);
  });

  test('are all read before any is refused for its syntax', () => {
    const { problems } = merged('a: [', 'b: {', base);
    expect(problems.map(({ file }) => file)).toEqual(['0.yaml', '1.yaml']);
  });
});

describe('locations', () => {
  const directory = mkdtempSync(join(tmpdir(), 'meshlog-'));
  const file = join(directory, 'config.yaml');
  writeFileSync(file, base);
  writeFileSync(join(directory, 'latin1.yaml'), Buffer.from('receivers: { nop: \xe9 }', 'latin1'));
  const env = { MORE: 'receivers: { tcp: { framing: docker } }' };

  test('may be files, variables and short lines', () => {
    const locations = [`file:${file}`, 'env:MORE', 'yaml:exporters::otlp::timeout: 3s'];
    const { config, files, report } = readConfig(locations, standIn, env);
    expect(report).toBe('');
    expect(config).toMatchObject({ file, baseDirectory: directory });
    expect(config?.receivers[1]?.config).toMatchObject({ framing: 'docker' });
    expect(config?.exporters[0]?.config).toMatchObject({ timeout: 3000 });
    expect(files).toEqual([file]);
  });

  test('that cannot be read are all named', () => {
    const locations = [
      join(directory, 'none.yaml'),
      file,
      directory,
      'env:NONE',
      join(directory, 'latin1.yaml'),
    ];
    const { config, problems } = readConfig(locations, standIn, env);
    expect(config).toBeUndefined();
    expect(problems.map(({ message }) => message)).toEqual([
      'cannot be read: no such file',
      'cannot be read: it is a folder',
      'cannot be read: the environment variable is not set',
      'cannot be read: not UTF-8 text',
    ]);
  });

  test('larger than 4 MiB are not read', () => {
    const large = join(directory, 'large.yaml');
    writeFileSync(large, '#'.repeat(4 * 1024 ** 2 + 1));
    expect(readConfig([large], standIn, {}).report).toContain('larger than 4 MiB');
  });
});
