// Parts of times and durations: getHours() and its kin. Zones are UTC, offsets such as +02:00, or IANA names.

import { FAULT, type Result } from './values.ts';

type Part = {
  readonly ofTime: (ms: number, zone: string) => Result;
  readonly ofDuration?: (ms: number) => Result;
};

const dayMs = 86_400_000;

const part = (read: (date: Date) => number, ofDuration?: (ms: number) => number): Part => ({
  ofTime: (ms, zone) => {
    const offset = offsetMs(ms, zone);
    if (Number.isNaN(offset) || !Number.isFinite(ms)) return FAULT;
    return BigInt(read(new Date(Math.floor(ms + offset))));
  },
  ...(ofDuration === undefined
    ? {}
    : { ofDuration: (ms: number) => BigInt(Math.trunc(ofDuration(ms))) }),
});

/** CEL's own counting: months and days of month, week and year begin at 0, `getDate` at 1. */
export const timeParts: Readonly<Record<string, Part>> = {
  getFullYear: part((date) => date.getUTCFullYear()),
  getMonth: part((date) => date.getUTCMonth()),
  getDate: part((date) => date.getUTCDate()),
  getDayOfMonth: part((date) => date.getUTCDate() - 1),
  getDayOfWeek: part((date) => date.getUTCDay()),
  getDayOfYear: part((date) =>
    Math.floor((date.getTime() - Date.UTC(date.getUTCFullYear(), 0, 1)) / dayMs),
  ),
  getHours: part(
    (date) => date.getUTCHours(),
    (ms) => ms / 3_600_000,
  ),
  getMinutes: part(
    (date) => date.getUTCMinutes(),
    (ms) => ms / 60_000,
  ),
  getSeconds: part(
    (date) => date.getUTCSeconds(),
    (ms) => ms / 1000,
  ),
  getMilliseconds: part(
    (date) => date.getUTCMilliseconds(),
    (ms) => ms % 1000,
  ),
};

const formats = new Map<string, Intl.DateTimeFormat>();

/** How far a zone is ahead of UTC at a time; NaN when there is no such zone. */
function offsetMs(ms: number, zone: string): number {
  if (zone === 'UTC' || zone === '') return 0;
  const fixed = /^([-+]?)(\d\d):(\d\d)$/.exec(zone);
  if (fixed !== null) {
    const size = (Number(fixed[2]) * 60 + Number(fixed[3])) * 60_000;
    return fixed[1] === '-' ? -size : size;
  }
  let format = formats.get(zone);
  if (format === undefined) {
    try {
      format = new Intl.DateTimeFormat('sv-SE', {
        timeZone: zone,
        dateStyle: 'short',
        timeStyle: 'medium',
      });
    } catch {
      return Number.NaN;
    }
    if (formats.size < 100) formats.set(zone, format);
  }
  // Swedish dates are ISO 8601: what the clock there shows, read as if it were UTC.
  const seconds = Math.floor(ms / 1000) * 1000;
  return Date.parse(`${format.format(seconds).replace(' ', 'T')}Z`) - seconds;
}
