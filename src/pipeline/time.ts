// RFC 3339 text <-> nanoseconds since 1970, without Date on the hot path.

/** Whole days since 1970-01-01 of a date in the proleptic Gregorian calendar. */
function daysFrom(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year;
  const era = Math.floor(y / 400);
  const yearOfEra = y - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const dayOfEra =
    yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146097 + dayOfEra - 719468;
}

const digits = (bytes: Uint8Array, at: number, count: number): number => {
  let value = 0;
  for (let i = at; i < at + count; i++) {
    const digit = bytes[i]! - 48;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
};

let cachedDayKey = -1;
let cachedDaySeconds = 0;

/** The result of the last parseTime that returned true: whole seconds since 1970, and nanoseconds of that second. */
export const parsedTime = { seconds: 0, nanos: 0 };

/**
 * Reads an RFC 3339 time (`2026-08-21T10:00:00.123456789Z`, `+02:00`, `-1000`; `T` may be a space; up to 9 digits of
 * fraction count, further ones are dropped) from bytes[start, end) into `parsedTime`. False when it is not one.
 */
export function parseTime(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start < 19 || bytes[start + 4] !== 45 || bytes[start + 7] !== 45) return false;
  const year = digits(bytes, start, 4);
  const month = digits(bytes, start + 5, 2);
  const day = digits(bytes, start + 8, 2);
  const hour = digits(bytes, start + 11, 2);
  const minute = digits(bytes, start + 14, 2);
  const second = digits(bytes, start + 17, 2);
  if (year < 0 || month < 1 || month > 12 || day < 1 || day > 31) return false;
  if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60) return false;
  const separator = bytes[start + 10]! | 32;
  if (separator !== 116 && separator !== 32) return false;
  if (bytes[start + 13] !== 58 || bytes[start + 16] !== 58) return false;
  const key = (year * 16 + month) * 32 + day;
  if (key !== cachedDayKey) {
    cachedDaySeconds = daysFrom(year, month, day) * 86400;
    cachedDayKey = key;
  }
  let i = start + 19;
  let nanos = 0;
  if (bytes[i] === 46 && i < end) {
    i++;
    const from = i;
    let scale = 100_000_000;
    while (i < end) {
      const digit = bytes[i]! - 48;
      if (digit < 0 || digit > 9) break;
      if (scale >= 1) nanos += digit * scale;
      scale = scale > 1 ? scale / 10 : 0;
      i++;
    }
    if (i === from) return false;
  }
  let offset = 0;
  if (i < end) {
    const zone = bytes[i]!;
    if (zone === 43 || zone === 45) {
      const colon = bytes[i + 3] === 58 ? 1 : 0;
      if (end - i !== 5 + colon) return false;
      const hours = digits(bytes, i + 1, 2);
      const minutes = digits(bytes, i + 3 + colon, 2);
      if (hours < 0 || minutes < 0) return false;
      offset = (hours * 3600 + minutes * 60) * (zone === 45 ? -1 : 1);
    } else if ((zone | 32) !== 122 || i + 1 !== end) return false;
  }
  parsedTime.seconds = cachedDaySeconds + hour * 3600 + minute * 60 + second - offset;
  parsedTime.nanos = nanos;
  return true;
}

/** The low and high word of seconds * 10^9 + nanos, as a signed 64-bit integer. */
export const words = { low: 0, high: 0 };

/** Sets `words` to the nanoseconds since 1970 of a time. Exact for every time an int64 can hold. */
export function toWords(seconds: number, nanos: number): void {
  // seconds * 10^9 exceeds 2^53, so the product is made in two halves of 2^16.
  const high = Math.floor(seconds / 65536);
  const low = (seconds - high * 65536) * 1e9 + nanos;
  const product = high * 1e9 + Math.floor(low / 65536);
  const bottom = low - Math.floor(low / 65536) * 65536;
  const productHigh = Math.floor(product / 65536);
  words.low = ((product - productHigh * 65536) * 65536 + bottom) | 0;
  words.high = productHigh | 0;
}

/** Sets `words` from milliseconds since 1970, exact to the microsecond. */
export function millisToWords(ms: number): void {
  const seconds = Math.floor(ms / 1000);
  toWords(seconds, Math.round((ms - seconds * 1000) * 1000) * 1000);
}

/** What `words` hold. */
export const wordsAsNanoseconds = (): bigint =>
  (BigInt(words.high) << 32n) | BigInt(words.low >>> 0);

const pad = (value: number, width: number): string => String(value).padStart(width, '0');

/** RFC 3339 text in UTC with 0, 3, 6 or 9 digits of fraction, at least `digitsMin`. */
export function formatTime(nanoseconds: bigint, digitsMin = 3): string {
  const seconds = nanoseconds / 1_000_000_000n - (nanoseconds % 1_000_000_000n < 0n ? 1n : 0n);
  const nanos = Number(nanoseconds - seconds * 1_000_000_000n);
  const text = new Date(Number(seconds) * 1000).toISOString().slice(0, 19);
  const needed = nanos % 1000 !== 0 ? 9 : nanos % 1_000_000 !== 0 ? 6 : nanos !== 0 ? 3 : 0;
  const width = Math.max(needed, digitsMin);
  return width === 0 ? `${text}Z` : `${text}.${pad(nanos, 9).slice(0, width)}Z`;
}
