// Times as RFC 3339 text, for times of which many lie in one second.

import type { Margin } from './margin.ts';

/** Bytes that a time takes at most. */
export const timeBytesMax = 32;

/** `2020-10-23T11:22:33.` */
const text = Buffer.alloc(20);
const words = new DataView(text.buffer, text.byteOffset, text.length);
let kept = Number.NaN;

/** Appends a time with three, six or nine digits of fraction. False: it is before the year 1 or after 9999. */
export function putTime(margin: Margin, seconds: number, nanos: number): boolean {
  if (seconds !== kept && !keep(seconds)) return false;
  const { bytes, view, at } = margin;
  for (let i = 0; i < 20; i += 4) view.setInt32(at + i, words.getInt32(i, true), true);
  let to = at + 20;
  const millis = (nanos / 1_000_000) | 0;
  putThree(bytes, to, millis);
  to += 3;
  if (nanos !== millis * 1_000_000) {
    const micros = (nanos / 1000) | 0;
    putThree(bytes, to, micros - millis * 1000);
    to += 3;
    if (nanos !== micros * 1000) {
      putThree(bytes, to, nanos - micros * 1000);
      to += 3;
    }
  }
  bytes[to] = 90;
  margin.at = to + 1;
  return true;
}

function keep(seconds: number): boolean {
  const day = Math.floor(seconds / 86400);
  if (!(day >= -719162 && day <= 2932896)) return false;
  text.latin1Write(new Date(seconds * 1000).toISOString(), 0, text.length);
  kept = seconds;
  return true;
}

function putThree(bytes: Buffer, at: number, value: number): void {
  const hundreds = (value / 100) | 0;
  const rest = value - hundreds * 100;
  const tens = (rest / 10) | 0;
  bytes[at] = 48 + hundreds;
  bytes[at + 1] = 48 + tens;
  bytes[at + 2] = 48 + rest - tens * 10;
}
