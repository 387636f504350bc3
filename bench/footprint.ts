// npm run bench:footprint: what a meshlog on a node costs while nothing happens, at 1,000 and at 10,000 records/s, as
// the daemonset runs it (CRI files, parse, enrich, OTLP with a disk queue); and what the parts of the image weigh.

import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  copyFileSync,
  globSync,
  lstatSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { DaemonProcess } from './harness.ts';
import { demoLines } from './lines.ts';
import { Sink } from './sinks.ts';

const root = resolve(import.meta.dirname, '..');
const rates = [0, 1000, 10_000];
const warmUpSeconds = Number(process.env['BENCH_WARM_UP'] ?? 5);
const seconds = Number(process.env['BENCH_SECONDS'] ?? 20);
const tickMs = 50;

const lines = demoLines(10_000).json;
const framed = lines.map((line) => `2026-01-02T03:04:05.678901234Z stdout F ${line}\n`);

const configOf = (folder: string, port: number): string => `
receivers:
  file: { include: ['${folder}/*.log'], framing: cri, start_at: beginning }
processors:
  parse: { format: auto }
  enrich: { mesh: bench }
exporters:
  otlp: { endpoint: '127.0.0.1:${port}', queue: { type: disk } }
service:
  state_directory: ${folder}/state
  admin: { endpoint: '127.0.0.1:0' }
  pipelines: { logs: { receivers: [file], processors: [parse, enrich], exporters: [otlp] } }
`;

type Footprint = { readonly cpuPercent: number; readonly rssMib: number; readonly peakMib: number };

async function measure(rate: number): Promise<Footprint> {
  const folder = mkdtempSync(join(tmpdir(), 'meshlog-footprint-'));
  const sink = await Sink.start('otlp');
  const daemon = await DaemonProcess.start(folder, configOf(folder, sink.port));
  try {
    const warmUp = await write(folder, rate, warmUpSeconds);
    const before = daemon.usage();
    const startedMs = performance.now();
    const written = warmUp + (await write(folder, rate, seconds));
    const after = daemon.usage();
    const wallSeconds = (performance.now() - startedMs) / 1000;
    const cpuPercent = ((after.cpuSeconds - before.cpuSeconds) / wallSeconds) * 100;
    if (rate > 0) await sink.until(written);
    return { cpuPercent, rssMib: after.rssMib, peakMib: after.peakRssMib };
  } finally {
    await daemon.stop();
    sink.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Adds lines to a log at a steady rate. Returns how many. */
async function write(folder: string, rate: number, forSeconds: number): Promise<number> {
  const startedMs = performance.now();
  let written = 0;
  for (;;) {
    const elapsed = Math.min(forSeconds, (performance.now() - startedMs) / 1000);
    const due = Math.floor(elapsed * rate);
    let chunk = '';
    for (; written < due; written++) chunk += framed[written % framed.length] ?? '';
    if (chunk !== '') appendFileSync(join(folder, '0.log'), chunk);
    if (elapsed >= forSeconds) return written;
    await pause(tickMs);
  }
}

/** Megabytes of all files below a folder. */
function megabytes(folder: string): number {
  let bytes = 0;
  for (const name of globSync('**/*', { cwd: folder })) {
    const stat = lstatSync(join(folder, name));
    if (stat.isFile()) bytes += stat.size;
  }
  return bytes / 1e6;
}

/** What the image holds above its base: the production modules as the Dockerfile installs and prunes them. */
function imageParts(): [string, number][] {
  const folder = mkdtempSync(join(tmpdir(), 'meshlog-modules-'));
  try {
    for (const file of ['package.json', 'package-lock.json']) {
      copyFileSync(join(root, file), join(folder, file));
    }
    const steps = readFileSync(join(root, 'Dockerfile'), 'utf8')
      .split(/^FROM /m)
      .find((stage) => stage.includes(' AS modules'))
      ?.match(/(?<=^RUN ).*$/gm);
    for (const step of steps ?? []) {
      execFileSync('sh', ['-ec', step], { cwd: folder, stdio: ['ignore', 'ignore', 'ignore'] });
    }
    return [
      ['node_modules', megabytes(join(folder, 'node_modules'))],
      ['dist', megabytes(join(root, 'dist'))],
      ['the Node binary of the base image', statSync(process.execPath).size / 1e6],
    ];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const bytes = framed.reduce((sum, line) => sum + line.length, 0) / framed.length;
console.log(
  `Node ${process.version}, ${cpus().length} CPUs, lines of ${Math.round(bytes)} bytes, ${seconds} s a rate\n`,
);
console.log('records/s  CPU, % of a core  RSS MiB  peak MiB');
for (const rate of rates) {
  const { cpuPercent, rssMib, peakMib } = await measure(rate);
  console.log(
    [
      rate.toLocaleString('en').padStart(9),
      cpuPercent.toFixed(1).padStart(16),
      rssMib.toFixed(0).padStart(8),
      peakMib.toFixed(0).padStart(9),
    ].join(' '),
  );
}
console.log('\nimage part                            MB');
for (const [name, size] of imageParts()) {
  console.log(`${name.padEnd(34)} ${size.toFixed(1).padStart(6)}`);
}
process.exit(0);
