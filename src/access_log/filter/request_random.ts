// The random number that Envoy takes from an x-request-id, so that every hop of one request decides alike
// (envoy.md section 3: runtime_filter).

const idDigits = 8;

/**
 * The bucket, of `buckets`, of the id in bytes[start, end): its first eight characters as a hexadecimal number, read as
 * C's strtoull reads it. -1 when they are none: then Envoy throws dice.
 */
export function bucketOfId(
  bytes: Uint8Array,
  { start, end }: { readonly start: number; readonly end: number },
  buckets: number,
): number {
  if (end - start < idDigits) return -1;
  let value = 0;
  for (let at = start; at < start + idDigits; at++) {
    const digit = hexDigit(bytes[at]!);
    if (digit < 0) return oddBucket(bytes, start, buckets);
    value = value * 16 + digit;
  }
  return value % buckets;
}

/** The value of a hexadecimal digit, or -1. */
export function hexDigit(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const letter = byte | 32;
  return letter >= 97 && letter <= 102 ? letter - 87 : -1;
}

/** strtoull also takes white space and a sign in front, and `0x`; a minus sign wraps around. */
function oddBucket(bytes: Uint8Array, start: number, buckets: number): number {
  const text = String.fromCharCode(...bytes.subarray(start, start + idDigits));
  const match = /^[ \t\n\v\f\r]*([-+]?)(?:0x)?([0-9a-f]+)$/i.exec(text);
  if (match === null) return -1;
  const value = BigInt(`0x${match[2]}`);
  const wrapped = match[1] === '-' ? BigInt.asUintN(64, -value) : value;
  return Number(wrapped % BigInt(buckets));
}
