// Times as RFC 3339 text, for times that mostly lie on one day.

import type { Margin } from './margin.ts';

/** Bytes that a time takes at most. */
export const timeBytesMax = 32;

/** `2020-10-23T` */
const dayText = Buffer.alloc(11);
let kept = Number.NaN;

/** Appends a time with three, six or nine digits of fraction. False: it is before the year 1 or after 9999. */
export function putTime(margin: Margin, seconds: number, nanos: number): boolean {
  const day = Math.floor(seconds / 86400);
  if (day !== kept) {
    if (!(day >= -719162 && day <= 2932896)) return false;
    dayText.latin1Write(new Date(day * 86_400_000).toISOString(), 0);
    kept = day;
  }
  const second = (seconds - day * 86400) | 0;
  const minute = (second / 60) | 0;
  const hour = (minute / 60) | 0;
  margin.put(dayText);
  margin.pair(hour);
  margin.byte(58);
  margin.pair(minute - hour * 60);
  margin.byte(58);
  margin.pair(second - minute * 60);
  margin.byte(46);
  if (nanos % 1_000_000 === 0) margin.digits((nanos / 1_000_000) | 0, 3);
  else if (nanos % 1000 === 0) margin.digits((nanos / 1000) | 0, 6);
  else margin.digits(nanos, 9);
  margin.byte(90);
  return true;
}
