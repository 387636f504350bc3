import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import {
  inventoryConfig,
  type OpenInventory,
  openInventory,
} from '../../../src/processors/enrich/inventory.ts';
import { type TestContext, testContext } from '../../support/collect.ts';
import { FakeApi, pod, service, slice } from './fake_api.ts';

const pods = '/api/v1/pods';
const services = '/api/v1/services';
const slices = '/apis/discovery.k8s.io/v1/endpointslices';

let api: FakeApi;
let open: OpenInventory | undefined;
let context: TestContext;
let nowMs: number;

beforeEach(async () => {
  api = new FakeApi();
  await api.start();
  nowMs = 1_000_000;
  context = testContext({ id: 'enrich', now: () => nowMs });
});

afterEach(async () => {
  await open?.stop();
  open = undefined;
  await api.stop();
});

function follow(
  settings: object = {},
  rest: object = {},
  cluster?: string,
): OpenInventory['inventory'] {
  const token = join(mkdtempSync(join(tmpdir(), 'token-')), 'token');
  writeFileSync(token, `${api.token}\n`);
  const kubernetes = {
    server: api.url,
    token_file: token,
    retry_min: '10ms',
    retry_max: '20ms',
    ...settings,
  };
  open = openInventory(inventoryConfig.parse({ kubernetes, ...rest }), context, cluster);
  return open.inventory;
}

/** A loaded machine takes its time. */
function eventually(check: () => void): Promise<void> {
  return vi.waitFor(check, { timeout: 10_000, interval: 5 });
}

const synced = () =>
  eventually(() => {
    expect(context.metrics.read('meshlog_inventory_synced', { processor: 'enrich' })).toBe(1);
    expect(api.watching).toBe(3);
  });
const lists = () => api.requests.filter((one) => one === `list ${pods}`).length;

test('kubernetes inventory lists in pages, and knows pods with their services', async () => {
  for (let i = 1; i <= 5; i++)
    api.put(pods, pod(`reviews-v${i}-7f9d7b8c6d-abcde`, { ip: `10.0.0.${i}` }));
  api.put(slices, slice('reviews', [['10.0.0.1', 'reviews-v1-7f9d7b8c6d-abcde']]));
  api.put(services, service('ratings', '10.96.0.7'));
  const inventory = follow({}, {}, 'eu-1');
  await synced();
  expect(inventory.byIp('10.0.0.1')?.any).toMatchObject({
    service: 'reviews',
    workload: 'reviews-v1',
    namespace: 'bookinfo',
    cluster: 'eu-1',
  });
  expect(inventory.byIp('10.0.0.5')?.any).toMatchObject({ workload: 'reviews-v5' });
  expect(inventory.byIp('10.96.0.7')?.any).toMatchObject({
    service: 'ratings',
    workload: undefined,
  });
  expect(inventory.byIp('10.0.0.99')).toBeUndefined();
  expect(inventory.byPod('bookinfo', 'reviews-v1-7f9d7b8c6d-abcde')?.service).toBe('reviews');
  expect(lists()).toBe(3);
});

test('kubernetes inventory follows changes and bookmarks, and keeps what has gone for a grace time', async () => {
  api.put(pods, pod('a-5d4f8c7b9-bbbbb', { ip: '10.0.0.1' }));
  const inventory = follow({}, { grace: '60s' });
  await synced();
  const before = inventory.generation;
  api.put(pods, pod('b-5d4f8c7b9-ccccc', { ip: '10.0.0.2' }));
  await eventually(() => expect(inventory.byIp('10.0.0.2')?.any?.workload).toBe('b'));
  expect(inventory.generation).toBeGreaterThan(before);
  api.bookmark();
  api.delete(pods, 'bookinfo', 'a-5d4f8c7b9-bbbbb');
  api.put(pods, pod('c-5d4f8c7b9-ddddd', { ip: '10.0.0.3' }));
  await eventually(() => expect(inventory.byIp('10.0.0.3')).toBeDefined());
  expect(inventory.byIp('10.0.0.1')?.any?.workload).toBe('a');
  // The address goes to another pod: the living owner wins at once.
  api.put(pods, pod('d-5d4f8c7b9-fffff', { ip: '10.0.0.1' }));
  await eventually(() => expect(inventory.byIp('10.0.0.1')?.any?.workload).toBe('d'));
});

test('kubernetes inventory goes on from where a broken watch ended, without a new list', async () => {
  api.put(pods, pod('a-5d4f8c7b9-bbbbb', { ip: '10.0.0.1' }));
  const inventory = follow();
  await synced();
  api.dropWatches();
  api.put(pods, pod('b-5d4f8c7b9-ccccc', { ip: '10.0.0.2' }));
  await eventually(() => expect(inventory.byIp('10.0.0.2')?.any?.workload).toBe('b'));
  expect(lists()).toBe(1);
});

for (const how of ['a status', 'an event'] as const) {
  test(`kubernetes inventory lists again when its version is gone, told by ${how}`, async () => {
    api.put(pods, pod('a-5d4f8c7b9-bbbbb', { ip: '10.0.0.1' }));
    const inventory = follow({}, { grace: '0' });
    await synced();
    api.compact();
    if (how === 'an event') api.expireWatches();
    else api.dropWatches();
    api.delete(pods, 'bookinfo', 'a-5d4f8c7b9-bbbbb');
    api.put(pods, pod('b-5d4f8c7b9-ccccc', { ip: '10.0.0.2' }));
    api.compact();
    api.dropWatches();
    await eventually(() => expect(inventory.byIp('10.0.0.2')?.any?.workload).toBe('b'));
    expect(lists()).toBeGreaterThan(1);
    nowMs += 1;
    await eventually(() => expect(api.watching).toBe(3));
  });
}

test('kubernetes inventory tries again after errors, says so once, and says when it is well again', async () => {
  api.failNext.push(500, 500, 500, 403, 403, 403);
  api.put(pods, pod('a-5d4f8c7b9-bbbbb', { ip: '10.0.0.1' }));
  const inventory = follow();
  await synced();
  expect(inventory.byIp('10.0.0.1')?.any?.workload).toBe('a');
  const warnings = context.logged.filter((line) => line.startsWith('warn'));
  expect(warnings.some((line) => line.includes('get, list and watch'))).toBe(true);
  expect(warnings.length).toBeLessThanOrEqual(6);
  expect(context.logged).toContainEqual(
    expect.stringMatching(/^info: no longer degraded: inventory: cannot follow pods/),
  );
  const labels = { processor: 'enrich', source: 'kubernetes' };
  expect(context.metrics.read('meshlog_inventory_failures_total', labels)).toBe(6);
});

test('kubernetes inventory survives garbage in a watch', async () => {
  api.put(pods, pod('a-5d4f8c7b9-bbbbb', { ip: '10.0.0.1' }));
  const inventory = follow();
  await synced();
  api.writeToWatches('{"type":"ADDED","object":{"metadata":17}}\n{"type":3}\nnot json\n');
  api.put(pods, pod('b-5d4f8c7b9-ccccc', { ip: '10.0.0.2' }));
  await eventually(() => expect(inventory.byIp('10.0.0.2')?.any?.workload).toBe('b'));
});

test('kubernetes inventory asks for the pods of its node only, and knows others by their services', async () => {
  api.put(pods, pod('near-5d4f8c7b9-bbbbb', { ip: '10.0.0.1', node: 'node-1' }));
  api.put(pods, pod('far-5d4f8c7b9-ccccc', { ip: '10.0.0.2', node: 'node-2' }));
  api.put(slices, slice('far', [['10.0.0.2', 'far-5d4f8c7b9-ccccc']]));
  api.put(pods, pod('lone-5d4f8c7b9-ddddd', { ip: '10.0.0.3', node: 'node-2' }));
  const inventory = follow({ node: 'node-1' });
  await synced();
  expect(inventory.byIp('10.0.0.1')?.any?.workload).toBe('near');
  expect(inventory.byIp('10.0.0.2')?.any).toMatchObject({ service: 'far', workload: 'far' });
  expect(inventory.byIp('10.0.0.3')).toBeUndefined();
});

test('kubernetes inventory stops while it waits for an API that is away', async () => {
  await api.stop();
  follow({ retry_min: '1h', retry_max: '1h' });
  await eventually(() => expect(context.logged.join()).toContain('cannot follow pods'));
  await open?.stop();
});

test('kubernetes inventory is refused when no API is named and this is no pod', () => {
  expect(() =>
    openInventory(inventoryConfig.parse({ kubernetes: {} }), context, undefined),
  ).toThrow('KUBERNETES_SERVICE_HOST is not set');
});
