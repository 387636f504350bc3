// The id that a proxy gives itself. Istio: `sidecar~10.1.2.3~reviews-v1-abc.bookinfo~bookinfo.svc.cluster.local`;
// Kuma: `mesh.dataplane` (`default.backend-7d9c.kuma-demo`).

export type ProxyRole = 'sidecar' | 'gateway' | 'waypoint' | 'ztunnel' | 'zone_proxy';

export type NodeId = {
  readonly mesh: 'istio' | 'kuma' | undefined;
  readonly role: ProxyRole | undefined;
  readonly ip: string | undefined;
  readonly pod: string | undefined;
  readonly namespace: string | undefined;
  readonly meshName: string | undefined;
};

const roles: Readonly<Record<string, ProxyRole>> = {
  sidecar: 'sidecar',
  router: 'gateway',
  ingress: 'gateway',
  waypoint: 'waypoint',
  ztunnel: 'ztunnel',
};

const nothing: NodeId = {
  mesh: undefined,
  role: undefined,
  ip: undefined,
  pod: undefined,
  namespace: undefined,
  meshName: undefined,
};

const idBytesMax = 1024;

/** Reads a node id of Istio. An id of another form says nothing here: see `parseKumaNodeId`. */
export function parseNodeId(id: string): NodeId {
  if (id.length > idBytesMax || !id.includes('~')) return nothing;
  const [kind = '', ip = '', workload = ''] = id.split('~', 4);
  const dot = workload.lastIndexOf('.');
  return {
    mesh: 'istio',
    role: roles[kind],
    ip: ip === '' ? undefined : ip,
    pod: (dot < 0 ? workload : workload.slice(0, dot)) || undefined,
    namespace: dot < 0 ? undefined : workload.slice(dot + 1) || undefined,
    meshName: undefined,
  };
}

/** Reads a node id of Kuma: the mesh, the data plane, on Kubernetes its namespace. */
export function parseKumaNodeId(id: string): NodeId {
  if (id.length > idBytesMax || !id.includes('.')) return nothing;
  const [mesh = '', dataplane = '', namespace = ''] = id.split('.', 4);
  if (mesh === '' || dataplane === '') return nothing;
  return {
    ...nothing,
    mesh: 'kuma',
    pod: dataplane,
    namespace: namespace || undefined,
    meshName: mesh,
  };
}
