import { expect, test } from 'vitest';
import { fieldOfKey } from '../../src/access_log/fields.ts';
import { Batch } from '../../src/pipeline/batch.ts';
import { TEXT } from '../../src/pipeline/column.ts';
import { enrich } from '../../src/processors/enrich/enrich.ts';
import { testContext } from '../support/collect.ts';

type Fields = Readonly<Record<string, string | number | null>>;

/** Rows as a parser leaves them: one column per vocabulary name, text as spans, `-` and null absent. */
function parsed(rows: readonly Fields[]): Batch {
  const lines = rows.map((row) => Object.values(row).map(String).join('\n'));
  const batch = Batch.ofLines(lines);
  batch.body = batch.recordColumn('body');
  rows.forEach((fields, row) => {
    let at = batch.rowStart[row]!;
    for (const [key, value] of Object.entries(fields)) {
      const end = at + Buffer.byteLength(String(value));
      const name = fieldOfKey(key)?.name ?? key;
      const column = batch.column(name) ?? batch.addColumn(name);
      if (value !== null && value !== '-') column.setSpan(row, TEXT, at, end);
      at = end + 1;
    }
  });
  return batch;
}

function enriched(rows: readonly Fields[], config: object = {}): Record<string, unknown>[] {
  const batch = parsed(rows);
  const processor = enrich.create(enrich.config.parse(config), testContext());
  const out = processor.process(batch);
  return rows.map((_, row) =>
    Object.fromEntries(
      Object.entries(out.record(row).attributes).filter(([name]) => name.startsWith('mesh.')),
    ),
  );
}

const gateway: Fields = {
  upstream_local_address: '10.244.1.9:59742',
  downstream_local_address: '10.244.1.9:443',
  upstream_host: '10.244.1.10:80',
  requested_server_name: 'server-1.zufar.io',
  upstream_cluster: 'outbound|80||helloworld.istio-testing.svc.cluster.local',
  downstream_remote_address: '10.244.2.0:41474',
  authority: 'server-1.zufar.io',
  response_code: '200',
};
const client: Fields = {
  upstream_host: '10.244.1.10:80',
  requested_server_name: '-',
  upstream_cluster: 'outbound|80||helloworld.istio-testing.svc.cluster.local',
  downstream_remote_address: '10.244.4.4:37034',
  authority: 'helloworld',
  upstream_local_address: '10.244.4.4:33806',
  downstream_local_address: '10.32.29.63:80',
  response_code: '200',
};
const server: Fields = {
  upstream_host: '127.0.0.1:80',
  requested_server_name: 'outbound_.80_._.helloworld.istio-testing.svc.cluster.local',
  upstream_cluster: 'inbound|80|http|helloworld.istio-testing.svc.cluster.local',
  downstream_remote_address: '10.244.4.4:33806',
  authority: 'helloworld',
  upstream_local_address: '127.0.0.1:52576',
  downstream_local_address: '10.244.1.10:80',
  response_code: '200',
};

const helloworld = {
  'mesh.destination.service': 'helloworld',
  'mesh.destination.namespace': 'istio-testing',
  'mesh.destination.host': 'helloworld.istio-testing.svc.cluster.local',
  'mesh.destination.port': 80,
};

test('enrich tells gateway, client and server side of one Istio call from the lines alone', () => {
  const [atGateway, atClient, atServer] = enriched([gateway, client, server], { mesh: 'prod' });
  expect(atGateway).toMatchObject({
    ...helloworld,
    'mesh.direction': 'outbound',
    'mesh.reporter': 'gateway',
    'mesh.name': 'prod',
  });
  expect(atClient).toMatchObject({
    ...helloworld,
    'mesh.direction': 'outbound',
    'mesh.reporter': 'source',
  });
  expect(atServer).toMatchObject({
    ...helloworld,
    'mesh.direction': 'inbound',
    'mesh.reporter': 'destination',
  });
});
