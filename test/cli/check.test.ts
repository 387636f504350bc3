import { expect, test } from 'vitest';
import { folderWith, meshlog } from './command.ts';

const directory = folderWith({
  'config.yaml': `receivers:
  demo: { requests_per_second: 5 }
  tcp: { endpoint: "127.0.0.1:\${env:PORT:-5170}" }
processors:
  enrich: { mesh: prod }
exporters:
  file: { path: out.jsonl }
  otlp: { endpoint: localhost:4317 }
service:
  pipelines:
    logs: { receivers: [demo, tcp], processors: [enrich], exporters: [file] }
    logs/raw: { receivers: [tcp], exporters: [file] }
`,
  'more.yaml': 'service: { pipelines: { logs/raw: { exporters: [otlp] } } }\n',
  'bad.yaml': `receivers:
  demo: { request_per_second: 5 }
exporters: { file: { path: x, fsync: sometimes } }
service: { pipelines: { logs: { receivers: [demoo], exporters: [file] } } }
`,
});

test('check shows what would run, and what is in no pipeline', () => {
  expect(meshlog(['check', '--config', 'config.yaml'], directory)).toEqual({
    code: 0,
    stdout: `config.yaml: no problems

  logs      demo, tcp > enrich > file
  logs/raw  tcp > file
  in no pipeline: exporters.otlp
`,
    stderr: '',
  });
});

test('check merges several files', () => {
  const { code, stdout } = meshlog(['check', '-c', 'config.yaml', 'more.yaml'], directory);
  expect([code, stdout]).toEqual([0, expect.stringContaining('logs/raw  tcp > otlp\n')]);
});

test('check shows every problem at its place and exits with 78', () => {
  const { code, stdout, stderr } = meshlog(['check', '--config', 'bad.yaml'], directory);
  expect([code, stdout]).toEqual([78, '']);
  expect(stderr).toBe(`bad.yaml: 3 problems, nothing was started

bad.yaml:2:11: receivers.demo.request_per_second: unknown field; did you mean "requests_per_second"?
     2 |   demo: { request_per_second: 5 }
       |           ^^^^^^^^^^^^^^^^^^
bad.yaml:3:38: exporters.file.fsync: expected never, interval or always, got "sometimes"
     3 | exporters: { file: { path: x, fsync: sometimes } }
       |                                      ^^^^^^^^^
bad.yaml:4:45: service::pipelines::logs: references receiver "demoo" which is not configured; did you mean "demo"?
     4 | service: { pipelines: { logs: { receivers: [demoo], exporters: [file] } } }
       |                                             ^^^^^

meshlog docs demo shows every field.
`);
});

test('check takes substitutions from its environment', () => {
  const { code, stderr } = meshlog(['check', '-c', 'config.yaml'], directory, { PORT: 'x' });
  expect(code).toBe(78);
  expect(stderr).toContain('config.yaml:3:20: receivers.tcp.endpoint: expected host:port');
});

test('check says which file is missing', () => {
  const { code, stderr } = meshlog(['check', '-c', 'none.yaml'], directory);
  expect([code, stderr]).toEqual([
    78,
    'none.yaml: 1 problem, nothing was started\n\nnone.yaml: cannot be read: no such file\n',
  ]);
});
