import { describe, expect, test } from 'vitest';
import { type Mode, modeCondition } from '../../../src/access_log/filter/mode.ts';
import { batchOf, type PlainRecord } from './records.ts';

describe('mode', () => {
  const on = (mode: Mode, record: PlainRecord): boolean => {
    const condition = modeCondition(mode);
    condition.bind(batchOf([record]));
    return condition.test(0);
  };
  for (const [record, client, server] of [
    [{ 'mesh.reporter': 'source' }, true, false],
    [{ 'mesh.reporter': 'gateway' }, true, false],
    [{ 'mesh.reporter': 'destination' }, false, true],
    [{ 'mesh.direction': 'outbound' }, true, false],
    [{ 'mesh.direction': 'inbound' }, false, true],
    [{ 'xds.cluster_name': 'outbound|80||a.b' }, true, false],
    [{ 'xds.cluster_name': 'inbound|80||' }, false, true],
    [{ 'xds.cluster_name': 'BlackHoleCluster' }, false, false],
    [{ 'response.code': 404 }, false, false],
  ] as const) {
    test(`of ${JSON.stringify(record)}`, () => {
      expect(on('CLIENT', record)).toBe(client);
      expect(on('SERVER', record)).toBe(server);
      expect(on('CLIENT_AND_SERVER', record)).toBe(true);
    });
  }
});
