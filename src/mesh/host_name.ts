// Host names of services: `reviews.bookinfo.svc.cluster.local` is service reviews in namespace bookinfo.

/** What a host says about a service. Fields that it does not say are undefined. */
export type HostName = {
  /** Lower case, without port and without the root dot. */
  readonly host: string;
  readonly port: number | undefined;
  readonly service: string | undefined;
  readonly namespace: string | undefined;
  /**
   * `service`: the form names a service of the mesh. `short`: one label, which the caller's namespace completes.
   * `dotted`: any other name, as of the outside world. `ip`: an address, which names nobody.
   */
  readonly kind: 'service' | 'short' | 'dotted' | 'ip' | 'none';
};

/** Longer names are no host names (RFC 1035), but their first bytes are still shown. */
const hostBytesMax = 253;

const none: HostName = {
  host: '',
  port: undefined,
  service: undefined,
  namespace: undefined,
  kind: 'none',
};

/** Reads an authority, an SNI or a host: `httpbin:8000`, `[::1]:80`, `a.b.svc.cluster.local`. Never throws. */
export function parseHost(text: string): HostName {
  if (text === '' || text === '-' || text.length > hostBytesMax + 6) return none;
  const { name, port } = splitPort(text);
  const host = name.endsWith('.') ? name.slice(0, -1).toLowerCase() : name.toLowerCase();
  if (host === '' || host.includes('/') || host.includes('|')) return none;
  if (isAddress(host)) return { host, port, service: undefined, namespace: undefined, kind: 'ip' };
  const labels = host.split('.');
  if (labels.includes('')) return none;
  const [first = '', second] = labels;
  if (second === undefined) {
    return { host, port, service: first, namespace: undefined, kind: 'short' };
  }
  // `svc` is Kubernetes' third label; `.mesh` is Kuma's top level: service, then perhaps namespace and svc.
  const isKubernetes = labels[2] === 'svc';
  const isKuma = labels.at(-1) === 'mesh' || labels.slice(-2).join('.') === 'mesh.local';
  if (isKubernetes) return { host, port, service: first, namespace: second, kind: 'service' };
  if (isKuma) {
    const namespace = labels.length >= 4 && second !== 'svc' ? second : undefined;
    return { host, port, service: first, namespace, kind: 'service' };
  }
  return { host, port, service: host, namespace: undefined, kind: 'dotted' };
}

/** A port, if the text spells one. */
export function portOf(text: string): number | undefined {
  if (text === '' || text.length > 5) return undefined;
  const port = Number(text);
  return Number.isInteger(port) && port >= 0 && port <= 65535 ? port : undefined;
}

function splitPort(text: string): { name: string; port: number | undefined } {
  if (text.startsWith('[')) {
    const close = text.indexOf(']');
    if (close < 0) return { name: text, port: undefined };
    return { name: text.slice(1, close), port: portOf(text.slice(close + 2)) };
  }
  const colon = text.lastIndexOf(':');
  if (colon < 0 || text.indexOf(':') !== colon) return { name: text, port: undefined };
  return { name: text.slice(0, colon), port: portOf(text.slice(colon + 1)) };
}

/** Whether a host is an IP address: any colon, or digits and dots only. */
function isAddress(host: string): boolean {
  if (host.includes(':')) return true;
  for (let i = 0; i < host.length; i++) {
    const c = host.charCodeAt(i);
    if (c !== 46 && (c < 48 || c > 57)) return false;
  }
  return host.includes('.');
}
