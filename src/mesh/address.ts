// Envoy's address text: `10.0.0.1:80`, `[fe80::1%eth0]:80`, a bare address, a path, `envoy://listener/endpoint`.

const colon = 58;

/** Where the IP of an address lies. Reused by every call: read it before the next. */
export const ipSpan = { start: 0, end: 0 };

/** Sets `ipSpan` to the IP in bytes[start, end), without port and brackets. False when there is none. */
export function findIp(bytes: Buffer, start: number, end: number): boolean {
  ipSpan.start = start;
  ipSpan.end = end;
  if (end <= start) return false;
  const first = bytes[start]!;
  if (first === 91) return findBracketed(bytes, start, end);
  if (first === 47) return false;
  let at = start;
  // IPv4 has a dot by its fourth byte, and its port ends the text: most of it need not be looked at.
  if (bytes[start + 1] === 46 || bytes[start + 2] === 46 || bytes[start + 3] === 46) {
    at = Math.max(end - 6, start);
  }
  while (at < end && bytes[at] !== colon) at++;
  const portAt = at++;
  if (bytes[at] === 47) return false;
  // A second colon: an IPv6 address without a port.
  while (at < end && bytes[at] !== colon) at++;
  if (at >= end) ipSpan.end = portAt;
  return ipSpan.end > start;
}

function findBracketed(bytes: Buffer, start: number, end: number): boolean {
  let at = start + 1;
  while (at < end && bytes[at] !== 93) at++;
  ipSpan.start = start + 1;
  ipSpan.end = at;
  return at > start + 1;
}

/** The IP of an address text; undefined when it has none. */
export function ipOf(address: string): string | undefined {
  const bytes = Buffer.from(address);
  return findIp(bytes, 0, bytes.length) ? bytes.utf8Slice(ipSpan.start, ipSpan.end) : undefined;
}

/** Whether an IP never leaves its pod: loopback, and the addresses from which sidecars call their own workload. */
export function isLocalIp(ip: string): boolean {
  return ip.startsWith('127.') || ip === '::1' || ip === '::6';
}

/** The port in bytes[start, end), an address text; -1 when it has none. */
export function portIn(bytes: Buffer, start: number, end: number): number {
  let at = end - 1;
  let port = 0;
  for (let scale = 1; at >= start && scale <= 10_000; at--, scale *= 10) {
    const digit = bytes[at]! - 48;
    if (digit < 0 || digit > 9) break;
    port += digit * scale;
  }
  return at > start && at < end - 1 && bytes[at] === colon ? port : -1;
}

/** The port of an address text; -1 when it has none. */
export function portOfAddress(address: string): number {
  const bytes = Buffer.from(address);
  return findIp(bytes, 0, bytes.length) && ipSpan.end < bytes.length
    ? portIn(bytes, 0, bytes.length)
    : -1;
}
