// Addresses as sockets know them.

import { isIPv4, isIPv6, type Socket } from 'node:net';

/** Where to listen or connect. What `endpoint()` of the configuration gives has this shape. */
export type Address =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

export function addressText(address: Address): string {
  if (address.kind === 'unix') return `unix:${address.path}`;
  const { host, port } = address;
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Whether only this machine can reach what listens there. */
export function isLocal(address: Address): boolean {
  if (address.kind === 'unix') return true;
  const host = plainIp(address.host);
  if (isIPv4(host)) return host.startsWith('127.');
  return isIPv6(host) ? host === '::1' : host === 'localhost';
}

/** What to say at the start about a listener that others can read and forge; undefined when there is nothing to say. */
export function plainTextWarning(address: Address, hasTls: boolean): string | undefined {
  if (hasTls || isLocal(address)) return undefined;
  return (
    `listens on ${addressText(address)} in plain text: whoever reaches it can read and forge ` +
    'records; set tls, or listen on 127.0.0.1 or a unix socket'
  );
}

/** An IPv4 address that a dual-stack socket wrote as IPv6 (`::ffff:10.0.0.1`), as IPv4. */
export function plainIp(text: string): string {
  return text.toLowerCase().startsWith('::ffff:') && text.includes('.') ? text.slice(7) : text;
}

/** Both ends of an accepted connection, in the words of OpenTelemetry's network attributes. */
export function connectionFacts(socket: Socket): { readonly [key: string]: string | number } {
  const { remoteAddress, remotePort, localAddress, localPort } = socket;
  if (remoteAddress === undefined || localAddress === undefined) return { 'net.transport': 'unix' };
  return {
    'net.transport': 'IP.TCP',
    'net.peer.ip': plainIp(remoteAddress),
    'net.peer.port': remotePort ?? 0,
    'net.host.ip': plainIp(localAddress),
    'net.host.port': localPort ?? 0,
  };
}
