// Who called whom, and how it went: mesh, direction, source, destination and severity of every record.

import { z } from 'zod';
import { CallReader } from '../../mesh/call_reader.ts';
import { emptyInventory } from '../../mesh/inventory/inventory.ts';
import { Names } from '../../mesh/names.ts';
import type { Batch } from '../../pipeline/batch.ts';
import { ABSENT } from '../../pipeline/column.ts';
import { processor } from '../../pipeline/component.ts';
import { inOrder, Output } from './outputs.ts';

const config = z.strictObject({
  mesh: z
    .string()
    .min(1)
    .optional()
    .describe('Name of the mesh, for records whose stream does not say it.'),
  cluster: z
    .string()
    .min(1)
    .optional()
    .describe('Name of the cluster, for records whose stream does not say it.'),
  zone: z
    .string()
    .min(1)
    .optional()
    .describe('Name of the zone, for records whose stream does not say it.'),
});

type Config = z.output<typeof config>;

export const enrich = processor({
  name: 'enrich',
  summary:
    'Says who called whom: mesh, direction, reporter, source and destination of every record.',
  config,
  example: 'enrich:\n  mesh: prod\n',
  create: (settings) => {
    const enricher = new Enricher(settings);
    return { process: (batch) => enricher.process(batch) };
  },
});

const outputNames = [
  'mesh.name',
  'mesh.cluster',
  'mesh.zone',
  'mesh.direction',
  'mesh.reporter',
  'mesh.source.service',
  'mesh.source.workload',
  'mesh.source.namespace',
  'mesh.source.cluster',
  'mesh.source.identity',
  'mesh.destination.service',
  'mesh.destination.workload',
  'mesh.destination.namespace',
  'mesh.destination.cluster',
  'mesh.destination.host',
  'mesh.destination.port',
  'mesh.destination.subset',
  'mesh.destination.identity',
] as const;

class Enricher {
  readonly #settings: Config;
  readonly #names = new Names();
  readonly #calls: CallReader;
  readonly #outputs = Object.fromEntries(
    outputNames.map((name) => [name, new Output(name, true)]),
  ) as Record<(typeof outputNames)[number], Output>;
  readonly #all = Object.values(this.#outputs);

  constructor(settings: Config) {
    this.#settings = settings;
    this.#calls = new CallReader({
      names: this.#names,
      inventory: emptyInventory,
      rules: 'auto',
      reporter: undefined,
    });
  }

  process(batch: Batch): Batch {
    if (batch.source === 'line' && batch.body === undefined) return batch;
    this.#calls.begin(batch, this.#names.renew());
    for (const output of this.#all) output.begin(batch, this.#names.dictionary);
    const failed = batch.column('log.parse_error');
    for (let i = 0; i < batch.count; i++) {
      const row = batch.selection[i]!;
      if (failed === undefined || failed.kind[row] === ABSENT) this.#row(row);
    }
    inOrder(batch, this.#all);
    return batch;
  }

  #row(row: number): void {
    const call = this.#calls.read(row);
    const names = this.#names;
    const outputs = this.#outputs;
    const { source, destination, verdict } = call;
    outputs['mesh.name'].setCode(row, names.code(this.#settings.mesh));
    outputs['mesh.cluster'].setCode(row, names.code(this.#settings.cluster));
    outputs['mesh.zone'].setCode(row, names.code(this.#settings.zone));
    outputs['mesh.direction'].setCode(row, names.code(verdict.direction));
    outputs['mesh.reporter'].setCode(row, names.code(verdict.reporter));
    outputs['mesh.source.service'].setCode(row, source.service);
    outputs['mesh.source.workload'].setCode(row, source.workload);
    outputs['mesh.source.namespace'].setCode(row, source.namespace);
    outputs['mesh.source.cluster'].setCode(row, source.cluster);
    outputs['mesh.source.identity'].setCode(row, source.identity);
    outputs['mesh.destination.service'].setCode(row, destination.service);
    outputs['mesh.destination.workload'].setCode(row, destination.workload);
    outputs['mesh.destination.namespace'].setCode(row, destination.namespace);
    outputs['mesh.destination.cluster'].setCode(row, destination.cluster);
    outputs['mesh.destination.host'].setCode(row, call.host);
    outputs['mesh.destination.port'].setInt(row, call.port);
    outputs['mesh.destination.subset'].setCode(row, call.subset);
    outputs['mesh.destination.identity'].setCode(row, destination.identity);
  }
}
