// Numbered records whose text follows from their number, so that whoever receives one knows whether it is whole.

/** Lengths around the edges of buffers: the number decides. */
const lengths = [0, 1, 64, 700, 1500, 4095, 4096, 4097];
const longEvery = 997;
const longBytes = 70_000;

export type Id = { readonly stream: string; readonly number: number };

export function payload({ stream, number }: Id): string {
  const length = number % longEvery === 0 ? longBytes : (lengths[number % lengths.length] ?? 0);
  return `${stream}-${number} ${filling(number, length)}`;
}

/** The record that a text is; undefined when it is none, or not whole. */
export function idOf(text: string): Id | undefined {
  const [, stream, digits] = /^([a-z]+)-(\d+) /.exec(text) ?? [];
  if (stream === undefined) return undefined;
  const id = { stream, number: Number(digits) };
  return text === payload(id) ? id : undefined;
}

/** The text of ours in whatever carries it: itself, or a value somewhere in a record. */
export function textIn(carrier: unknown): string | undefined {
  if (typeof carrier === 'string') return /^[a-z]+-\d+ /.test(carrier) ? carrier : undefined;
  if (typeof carrier !== 'object' || carrier === null) return undefined;
  for (const value of Object.values(carrier)) {
    const text = textIn(value);
    if (text !== undefined) return text;
  }
  return undefined;
}

/** Hex digits that follow from the seed (mulberry32). */
function filling(seed: number, length: number): string {
  let text = '';
  for (let state = (seed * 2654435761) >>> 0; text.length < length; ) {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    text += ((t ^ (t >>> 14)) >>> 0).toString(16).padStart(8, '0');
  }
  return text.slice(0, length);
}
