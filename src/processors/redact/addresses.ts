// Addresses of clients without the part that tells one client from another.

import { isIP } from 'node:net';

export type Bits = { readonly ipv4: number; readonly ipv6: number };

/** Every address of a text (`ip:port`, `[v6]:port`, a list joined by commas) reduced to its network. */
export function truncateAddresses(text: string, bits: Bits): string {
  return text
    .split(',')
    .map((item) => truncateItem(item, bits))
    .join(',');
}

/** An address with brackets and a port around it, if any. Anything else stays as it is. */
function truncateItem(item: string, bits: Bits): string {
  const text = item.trim();
  // Nothing longer is an address; what is hostile need not be looked at.
  if (text.length > 80) return item;
  const [, open = '', inner = '', after = ''] = /^(\[?)([^\]]*?)(\]?(?::\d+)?)$/.exec(text) ?? [];
  // Without brackets the last group of an IPv6 address looks like a port.
  const whole = truncateIp(text, bits);
  const truncated = whole ?? truncateIp(inner, bits);
  if (truncated === undefined) return item;
  const around = whole === undefined ? [open, after] : ['', ''];
  return item.replace(text, () => around[0] + truncated + around[1]);
}

function truncateIp(address: string, bits: Bits): string | undefined {
  const [ip = ''] = address.split('%');
  if (isIP(ip) === 4) return truncateV4(ip, bits.ipv4);
  if (isIP(ip) !== 6) return undefined;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(ip)?.[1];
  return mapped === undefined
    ? truncateV6(ip, bits.ipv6)
    : `::ffff:${truncateV4(mapped, bits.ipv4)}`;
}

function truncateV4(ip: string, bits: number): string {
  return ip
    .split('.')
    .map((part, i) => Number(part) & maskOf(bits - i * 8, 8))
    .join('.');
}

function truncateV6(ip: string, bits: number): string {
  const groups = groupsOf(ip).map((group, i) => group & maskOf(bits - i * 16, 16));
  const kept = groups.findLastIndex((group) => group !== 0) + 1;
  const text = groups.slice(0, kept).map((group) => group.toString(16));
  return kept === 8 ? text.join(':') : `${text.join(':')}::`;
}

/** The eight groups of an IPv6 address; `::` stands for as many zeros as are missing. */
function groupsOf(ip: string): number[] {
  const dotted = ip.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, a, b, c, d) =>
    [Number(a) * 256 + Number(b), Number(c) * 256 + Number(d)]
      .map((group) => group.toString(16))
      .join(':'),
  );
  const [head = '', tail] = dotted.split('::');
  const read = (part: string): number[] =>
    part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16));
  const left = read(head);
  const right = tail === undefined ? [] : read(tail);
  return [...left, ...Array<number>(8 - left.length - right.length).fill(0), ...right];
}

/** The upper `bits` of a group of `size` bits. */
function maskOf(bits: number, size: number): number {
  const kept = Math.min(size, Math.max(0, bits));
  return (2 ** size - 1) ^ (2 ** (size - kept) - 1);
}
