// npm run bench [-- NAME ...]: what a record costs on each data path, as CPU microseconds of the daemon (all threads,
// user and system) and as a multiple of JSON.parse of the same line in the same run. Delivery is counted at the sink: a
// run that loses or adds a record fails. What is measured is a daemon that has been running for a while, as JSON.parse is
// measured: `records` records after as many as it takes until V8 has compiled what it compiles.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DaemonProcess, jsonParseMicros, type Measured } from './harness.ts';
import { demoLines } from './lines.ts';
import { type Path, paths } from './paths.ts';

const records = Number(process.env['BENCH_RECORDS'] ?? 400_000);
/** V8 goes on compiling until a path has had about so many. */
const warmUpRecords = Number(process.env['BENCH_WARM_UP_RECORDS'] ?? 2_000_000);
const wanted = process.argv.slice(2);

type Lines = { readonly json: readonly string[]; readonly text: readonly string[] };

async function measure(path: Path, lines: Lines): Promise<Measured> {
  const folder = mkdtempSync(join(tmpdir(), `meshlog-bench-${path.name}-`));
  const setup = await path.prepare({ folder, records, lines });
  const daemon = await DaemonProcess.start(folder, setup.config);
  try {
    for (let done = 0; done < warmUpRecords; done += records) await setup.run();
    // Machines are not equally fast all the time: before and after what it is compared with.
    const parseMicros = jsonParseMicros(setup.lines ?? lines.json);
    const before = daemon.usage();
    const startedMs = performance.now();
    await setup.run();
    const wallMs = performance.now() - startedMs;
    const after = daemon.usage();
    return {
      name: path.name,
      parseMicros: (parseMicros + jsonParseMicros(setup.lines ?? lines.json)) / 2,
      micros: ((after.cpuSeconds - before.cpuSeconds) * 1e6) / records,
      perSecond: records / (wallMs / 1000),
      peakRssMib: after.peakRssMib,
    };
  } finally {
    await daemon.stop();
    await setup.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

const lines = demoLines(20_000);
const bytes = lines.json.reduce((sum, line) => sum + line.length + 1, 0) / lines.json.length;
console.log(
  `${records} records a path after ${warmUpRecords}, JSON lines of ${Math.round(bytes)} bytes, Node ${process.version}`,
);
console.log(
  'path                    JSON.parse us  daemon us  x JSON.parse   aim  peak RSS MiB  records/s',
);
for (const path of paths) {
  if (wanted.length > 0 && !wanted.includes(path.name)) continue;
  const result = await measure(path, lines);
  console.log(
    [
      path.name.padEnd(22),
      result.parseMicros.toFixed(2).padStart(14),
      result.micros.toFixed(2).padStart(10),
      (result.micros / result.parseMicros).toFixed(2).padStart(13),
      path.aim.toFixed(1).padStart(5),
      result.peakRssMib.toFixed(0).padStart(13),
      Math.round(result.perSecond).toString().padStart(10),
    ].join(' '),
  );
}
process.exit(0);
