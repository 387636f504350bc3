import { expect, test } from 'vitest';
import type { Claim } from '../../../src/mesh/inventory/claim.ts';
import { OwnerStore } from '../../../src/mesh/inventory/store.ts';
import { nobody, type Party } from '../../../src/mesh/party.ts';

function claim(kind: Claim['kind'], party: Partial<Party>, ips: string[], pod?: string): Claim {
  return {
    kind,
    party: { ...nobody, namespace: 'bookinfo', ...party },
    addresses: ips.map((text) => {
      const [ip = '', port] = text.split(':');
      return { ip, port: port === undefined ? undefined : Number(port) };
    }),
    pod,
  };
}

test('store names a pod by the service that leads to it, its own name for itself first', () => {
  const store = new OwnerStore(0);
  store.set(
    'pod',
    claim('workload', { workload: 'reviews-v1', service: 'reviews' }, ['10.0.0.1'], 'reviews-v1-x'),
    0,
  );
  expect(store.byIp('10.0.0.1')?.any).toMatchObject({ service: 'reviews', workload: 'reviews-v1' });
  store.set('b', claim('endpoint', { service: 'reviews-canary' }, ['10.0.0.1'], 'reviews-v1-x'), 0);
  expect(store.byIp('10.0.0.1')?.any?.service).toBe('reviews-canary');
  store.set('a', claim('endpoint', { service: 'reviews' }, ['10.0.0.1'], 'reviews-v1-x'), 0);
  expect(store.byIp('10.0.0.1')?.any?.service).toBe('reviews');
  expect(store.byPod('bookinfo', 'reviews-v1-x')?.service).toBe('reviews');
});

test('store leaves an address open that several pods share, and tells them apart by port', () => {
  const store = new OwnerStore(0);
  store.set('a', claim('workload', { workload: 'agent' }, ['10.1.0.1:80'], 'agent-1'), 0);
  store.set('b', claim('workload', { workload: 'proxy' }, ['10.1.0.1:81'], 'proxy-1'), 0);
  const owners = store.byIp('10.1.0.1');
  expect(owners?.any).toBeUndefined();
  expect(owners?.byPort?.get(80)?.workload).toBe('agent');
  expect(owners?.byPort?.get(81)?.workload).toBe('proxy');
});

test('store knows what has gone until its grace time is over, unless somebody else came', () => {
  const store = new OwnerStore(1000);
  store.set('a', claim('workload', { workload: 'a' }, ['10.0.0.1', '10.0.0.2'], 'a-1'), 0);
  store.delete('a', 500);
  store.set('b', claim('workload', { workload: 'b' }, ['10.0.0.2'], 'b-1'), 600);
  expect(store.byIp('10.0.0.1')?.any?.workload).toBe('a');
  expect(store.byPod('bookinfo', 'a-1')?.workload).toBe('a');
  expect(store.byIp('10.0.0.2')?.any?.workload).toBe('b');
  expect(store.expire(1499)).toBe(2);
  const { generation } = store;
  expect(store.expire(1500)).toBe(0);
  expect(store.generation).toBeGreaterThan(generation);
  expect(store.byIp('10.0.0.1')).toBeUndefined();
  expect(store.byPod('bookinfo', 'a-1')).toBeUndefined();
  expect(store.byIp('10.0.0.2')?.any?.workload).toBe('b');
  expect(store.addresses).toBe(1);
});

test('store does not stir when a resource claims what it claimed before', () => {
  const store = new OwnerStore(1000);
  const same = () => claim('workload', { workload: 'a' }, ['10.0.0.1'], 'a-1');
  store.set('a', same(), 0);
  const { generation } = store;
  const answer = store.byIp('10.0.0.1')?.any;
  store.set('a', same(), 1);
  expect(store.generation).toBe(generation);
  expect(store.byIp('10.0.0.1')?.any).toBe(answer);
  expect(store.expire(1)).toBe(0);
});

test('store forgets what a new list no longer has', () => {
  const store = new OwnerStore(0);
  store.set('pods/a', claim('workload', { workload: 'a' }, ['10.0.0.1'], 'a-1'), 0);
  store.set('pods/b', claim('workload', { workload: 'b' }, ['10.0.0.2'], 'b-1'), 0);
  store.set('services/s', claim('service', { service: 's' }, ['10.96.0.1']), 0);
  store.retain('pods/', new Set(['pods/b']), 0);
  store.expire(0);
  expect(store.byIp('10.0.0.1')).toBeUndefined();
  expect(store.byIp('10.0.0.2')).toBeDefined();
  expect(store.byIp('10.96.0.1')?.any?.service).toBe('s');
});

test('store knows the cluster of a workload by name, unless two clusters have one', () => {
  const store = new OwnerStore(0);
  const named = (cluster: string) => claim('name', { workload: 'ratings-v1', cluster }, []);
  store.set('1', named('mgmt-cluster'), 0);
  expect(store.byPod('bookinfo', 'ratings-v1-7f9d7b8c6d-abcde')?.cluster).toBeUndefined();
  expect(store.byPod('bookinfo', 'ratings-v1-7f9d7b8c6d-bcdfg')?.cluster).toBe('mgmt-cluster');
  store.set('2', named('remote-cluster'), 0);
  expect(store.byPod('bookinfo', 'ratings-v1-7f9d7b8c6d-bcdfg')?.cluster).toBeUndefined();
});
