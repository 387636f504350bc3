// Log lines of the demo mesh, the same in every run.

import { jsonLine, textLine } from '../src/receivers/demo/lines.ts';
import { type Entry, Mesh } from '../src/receivers/demo/mesh.ts';

/** A small fast generator (mulberry32): equal seeds give equal lines. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** `count` entries of the demo mesh. */
export function demoEntries(count: number): Entry[] {
  const mesh = new Mesh(seeded(42));
  const entries: Entry[] = [];
  for (let ms = 1_770_000_000_000; entries.length < count; ms += 25)
    entries.push(...mesh.request(ms));
  return entries.slice(0, count);
}

/** The same requests in Istio's JSON and text defaults. */
export function demoLines(count: number): { json: string[]; text: string[] } {
  const entries = demoEntries(count);
  return { json: entries.map(jsonLine), text: entries.map(textLine) };
}
