// Renames a log that has grown beyond MAX_BYTES and asks Envoy to open a new one. One old file is kept: meshlog has it open
// and reads it to its end. Nothing is copied and nothing emptied, so no line falls between. Only what is written and put
// aside twice before meshlog looks (five times a second) would be missed: keep INTERVAL_MS well above that.
import { existsSync, renameSync, statSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';

const { LOG, MAX_BYTES, REOPEN, INTERVAL_MS = '10000' } = process.env;

async function rotate() {
  if (existsSync(LOG)) {
    if (statSync(LOG).size < Number(MAX_BYTES)) return;
    renameSync(LOG, `${LOG}.1`);
  } else if (!existsSync(`${LOG}.1`)) return;
  // Also when the proxy could not be asked the last time: until it opens a new file it writes into the old one.
  const response = await fetch(REOPEN, { method: 'POST' });
  if (!response.ok) throw new Error(`${REOPEN} answered ${response.status}`);
}

process.on('SIGTERM', () => process.exit(0));
for (;;) {
  await setTimeout(Number(INTERVAL_MS));
  await rotate().catch((error) => console.error(`not rotated: ${error.message}`));
}
