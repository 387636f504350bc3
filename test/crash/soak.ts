// npm run soak [-- KILLS]: the long form of crash.test.ts. Random lives under random sinks, each scenario counted to the
// end; then power cuts, each a state of a disk on which the queue is started (SOAK_POWER_CUTS, 2000); then ten minutes
// (SOAK_MINUTES) with every sink dead under full load.

import { memoryUnderDeadSinks, sources } from './dead_sinks.ts';
import { allFaults, exportFaults, fileFaults } from './faults.ts';
import { powerLoss } from './power_loss/power_loss.ts';
import { type Kind, Scenario } from './scenario.ts';
import type { Mood } from './sinks.ts';

const kills = Number(process.argv[2] ?? 100);
const minutes = Number(process.env['SOAK_MINUTES'] ?? 10);
const powerCuts = Number(process.env['SOAK_POWER_CUTS'] ?? 2000);
const perScenario = 10;
const moods: readonly Mood[] = ['ok', 'refuse', 'busy', 'hang', 'late'];
const kinds: readonly Kind[] = [
  { queue: 'disk', sink: 'otlp' },
  { queue: 'memory', sink: 'otlp' },
  { queue: 'disk', sink: 'lines' },
  { queue: 'memory', sink: 'lines' },
];

const pick = <T>(from: readonly T[]): T => from[Math.floor(Math.random() * from.length)] as T;

/** A sink that changes its mood for as long as it runs; plain lines only stop being read, for they cannot be sent again. */
function flap(scenario: Scenario, { sink }: Kind): () => void {
  const timer = setInterval(() => {
    if (sink === 'lines') {
      scenario.sink.mood = pick(['ok', 'ok', 'hang']);
      return;
    }
    scenario.sink.mood = pick(['ok', 'ok', ...moods]);
    if (Math.random() < 0.1) scenario.proxy.reset();
    if (Math.random() < 0.1) scenario.proxy.halfClose();
    scenario.proxy.faults.delayMs = Math.random() < 0.2 ? 50 : 0;
    scenario.proxy.faults.bytesPerSecond = Math.random() < 0.1 ? 200_000 : 0;
    scenario.proxy.faults.blackHole = Math.random() < 0.05;
  }, 200);
  return () => clearInterval(timer);
}

async function lives(scenario: Scenario, kind: Kind, count: number): Promise<void> {
  const faults = kind.queue === 'disk' ? allFaults : [...exportFaults, ...fileFaults];
  for (let life = 0; life < count; life++) {
    const stop = flap(scenario, kind);
    if (Math.random() < 0.5) await scenario.lifeOf(100 + Math.random() * 1500);
    else {
      scenario.sink.mood = 'ok';
      stop();
      // A link that is too slow for the timeout would keep the queue from ever getting there.
      Object.assign(scenario.proxy.faults, { delayMs: 0, bytesPerSecond: 0, blackHole: false });
      await scenario.lifeUntil(`${pick(faults)}:${1 + Math.floor(Math.random() * 4)}`, 30_000);
    }
    stop();
  }
}

console.log(
  'queue   sink    kills  issued  acknowledged  delivered  duplicates  missing  invented  corrupted  replays',
);
let bad = 0;
for (let done = 0; done < kills; done += perScenario) {
  const kind = kinds[(done / perScenario) % kinds.length] as Kind;
  const scenario = await Scenario.create(kind);
  try {
    await lives(scenario, kind, Math.min(perScenario, kills - done));
    const report = await scenario.finish(120_000);
    const { issued, acknowledged, delivered, duplicates, missing, invented, corrupted } = report;
    if (missing + invented + corrupted > 0) bad++;
    console.log(
      [
        kind.queue.padEnd(7),
        kind.sink.padEnd(6),
        String(perScenario).padStart(6),
        String(issued).padStart(7),
        String(acknowledged).padStart(13),
        String(delivered).padStart(10),
        String(duplicates).padStart(11),
        String(missing).padStart(8),
        String(invented).padStart(9),
        String(corrupted).padStart(10),
        String(report.replays).padStart(8),
        missing > 0 ? report.missingSample.join(' ') : '',
      ].join(' '),
    );
  } catch (error) {
    bad++;
    console.log(`${kind.queue} ${kind.sink}: ${error instanceof Error ? error.message : error}`);
  } finally {
    await scenario.close();
  }
}
if (powerCuts > 0) {
  const cuts = await powerLoss({ seed: Date.now(), states: powerCuts, generations: 10 });
  const { states, acknowledged, owed, lost, corrupted, invented, stuck } = cuts;
  const wrong = [...lost, ...corrupted, ...invented, ...stuck];
  if (wrong.length > 0) bad++;
  console.log(
    `${states} power cuts, ${acknowledged} records acknowledged, ${owed} times one was owed: ${lost.length} states with losses, ${corrupted.length} corrupted, ${invented.length} invented, ${stuck.length} stuck ${wrong.slice(0, 5).join('; ')}`,
  );
}
if (minutes > 0) {
  const { peakMib, boundMib, offeredMib } = await memoryUnderDeadSinks(minutes * 60_000, sources);
  console.log(
    `every sink dead for ${minutes} min, ${offeredMib.toFixed(0)} MiB offered: RSS peak ${peakMib.toFixed(0)} MiB, bound ${boundMib} MiB`,
  );
  if (peakMib > boundMib) bad++;
}
process.exit(bad === 0 ? 0 : 1);
