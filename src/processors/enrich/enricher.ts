// The rows of a batch through the rules of src/mesh, and the answers into columns.

import type { Call } from '../../mesh/call.ts';
import { CallReader } from '../../mesh/call_reader.ts';
import { Evidence } from '../../mesh/evidence.ts';
import { Names, NO_NAME } from '../../mesh/names.ts';
import type { CallOptions } from '../../mesh/scene.ts';
import { TransportReader } from '../../mesh/transport.ts';
import type { Batch } from '../../pipeline/batch.ts';
import { ABSENT, CODE, type Column } from '../../pipeline/column.ts';
import { callFields, fieldOrder, type Group, rowFields } from './fields.ts';
import { OutcomeReader, type Severities } from './outcome.ts';
import { inOrder, Output } from './outputs.ts';
import { addPorts } from './ports.ts';

export type EnricherOptions = Omit<CallOptions, 'names'> & {
  /** For records whose stream does not say it. */
  readonly mesh: string | undefined;
  readonly zone: string | undefined;
  readonly severities: Severities;
  readonly wanted: ReadonlySet<Group>;
};

/** The place of rows that have no answer. */
const nowhere = 0;

export class Enricher {
  readonly #options: EnricherOptions;
  readonly #names = new Names();
  readonly #calls: CallReader;
  readonly #transport: TransportReader;
  readonly #evidence = new Evidence(this.#names);
  readonly #outcomes: OutcomeReader;
  /** By index in `callFields`. */
  readonly #callOutputs: readonly Output[];
  readonly #all: readonly Output[];
  readonly #direction: Output;
  readonly #sourceService: Output;
  readonly #sourceAddress: Output;
  readonly #port: Output;
  readonly #protocol: Output;
  readonly #tlsMode: Output;
  readonly #explanation: Output;
  #severity: Column | undefined = undefined;
  #batches = 0;
  /** The different answers of a batch, the place of each row's, and for one column the code at each place. */
  readonly #answers: Call[] = [];
  #placeOf = new Int32Array(0);
  #codeAt = new Int32Array(64);

  constructor(options: EnricherOptions) {
    this.#options = options;
    this.#calls = new CallReader({ ...options, names: this.#names });
    this.#transport = new TransportReader(this.#names);
    this.#outcomes = new OutcomeReader(options.severities, this.#names);
    const outputs = new Map(
      [...callFields, ...rowFields].map(([group, name]) => [
        name as string,
        new Output(name, options.wanted.has(group)),
      ]),
    );
    const output = (name: string) => outputs.get(name) ?? new Output(name, false);
    this.#callOutputs = callFields.map(([, name]) => output(name));
    this.#all = fieldOrder.map(output);
    this.#direction = output('mesh.direction');
    this.#sourceService = output('mesh.source.service');
    this.#sourceAddress = output('mesh.source.address');
    this.#port = output('mesh.destination.port');
    this.#protocol = output('mesh.protocol');
    this.#tlsMode = output('mesh.tls_mode');
    this.#explanation = output('mesh.explanation');
  }

  process(batch: Batch): Batch {
    // Lines that nothing has parsed yet have no fields to derive anything from.
    if (batch.columns.length === 0 && batch.source === 'line') return batch;
    const renewed = this.#names.renew();
    if (renewed) this.#evidence.clear();
    this.#calls.begin(batch, renewed);
    this.#transport.begin(batch, renewed);
    this.#outcomes.begin(batch, renewed);
    for (const output of this.#all) output.begin(batch, this.#names.dictionary);
    this.#severity = this.#options.wanted.has('severity') ? ownSeverity(batch) : undefined;
    this.#batches++;
    this.#answers.length = 0;
    if (this.#placeOf.length < batch.rows) this.#placeOf = new Int32Array(batch.capacity);
    const failed = batch.column('log.parse_error');
    for (let i = 0; i < batch.count; i++) {
      const row = batch.selection[i]!;
      if (failed === undefined || failed.kind[row] === ABSENT) this.#row(row);
      else this.#placeOf[row] = nowhere;
    }
    this.#writeAnswers(batch);
    if (this.#severity !== undefined) batch.severity = this.#severity;
    if (this.#options.wanted.has('ports')) addPorts(batch);
    inOrder(batch, this.#all);
    return batch;
  }

  #row(row: number): void {
    const call = this.#calls.read(row);
    // Kuma's spellings and its `unknown` give way to what is known better.
    if (this.#direction.existed) this.#direction.clearIf(row, undefined);
    if (this.#sourceService.existed && call.source.service !== NO_NAME) {
      this.#sourceService.clearIf(row, 'unknown');
    }
    if (call.batch !== this.#batches) this.#meet(call);
    this.#placeOf[row] = call.place;
    if (call.port >= 0) this.#port.setInt(row, call.port);
    this.#sourceAddress.setIp(row, this.#calls.sourceAddress(call));
    if (!this.#transport.isCall(row)) return;
    if (this.#protocol.isWanted) this.#transported(row, call);
    this.#outcome(row, call);
  }

  /** Gives an answer its place in this batch. */
  #meet(call: Call): void {
    call.batch = this.#batches;
    call.codes ??= this.#codesOf(call);
    this.#answers.push(call);
    // Place 0 is that of rows without an answer.
    call.place = this.#answers.length;
  }

  /** The codes of an answer by index in `callFields`, NO_NAME for those that it does not set. */
  #codesOf(call: Call): Int32Array {
    const { mesh, zone } = this.#options;
    const parts = {
      call,
      self: this.#calls.self,
      names: this.#names,
      evidence: this.#evidence,
      mesh,
      zone,
    };
    return Int32Array.from(callFields, ([, , codeOf]) => codeOf(parts));
  }

  /** Column by column, which is three times as fast as row by row. */
  #writeAnswers(batch: Batch): void {
    const answers = this.#answers;
    if (this.#codeAt.length <= answers.length) this.#codeAt = new Int32Array(answers.length * 2);
    const codeAt = this.#codeAt;
    codeAt[nowhere] = NO_NAME;
    this.#callOutputs.forEach((output, index) => {
      if (!output.isWanted) return;
      let isSet = false;
      for (let i = 0; i < answers.length; i++) {
        const code = answers[i]!.codes![index]!;
        codeAt[i + 1] = code;
        if (code !== NO_NAME) isSet = true;
      }
      if (isSet) this.#writeColumn(batch, output);
    });
  }

  #writeColumn(batch: Batch, output: Output): void {
    const { kind, a } = output.open();
    const placeOf = this.#placeOf;
    const codeAt = this.#codeAt;
    const { selection, count } = batch;
    for (let i = 0; i < count; i++) {
      const row = selection[i]!;
      const code = codeAt[placeOf[row]!]!;
      if (code === NO_NAME) continue;
      if (output.existed) output.setCode(row, code);
      else {
        kind[row] = CODE;
        a[row] = code;
      }
    }
  }

  #transported(row: number, call: Call): void {
    const transport = this.#transport;
    this.#protocol.setCode(row, transport.protocol(row));
    const isOutbound = call.direction === 'outbound';
    const mode = transport.tlsMode(row, isOutbound, this.#calls.hasMeshServerName);
    if (mode !== NO_NAME) this.#tlsMode.setCode(row, mode);
  }

  #outcome(row: number, call: Call): void {
    const outcomes = this.#outcomes;
    outcomes.read(row);
    const severity = this.#severity;
    if (severity !== undefined && severity.kind[row] === ABSENT) {
      severity.setInt64(row, outcomes.severity, 0);
    }
    if (!outcomes.failed || !this.#explanation.isWanted) return;
    const code = outcomes.explanation(row, call.destination.service, call.port);
    if (code !== NO_NAME) this.#explanation.setCode(row, code);
  }
}

/** A severity column that no fork of the batch shares, with what the records bring along. */
function ownSeverity(batch: Batch): Column {
  const column = batch.recordColumn('severity');
  if (batch.severity === undefined) return column;
  column.kind.set(batch.severity.kind);
  column.a.set(batch.severity.a);
  column.b.set(batch.severity.b);
  column.dictionary = batch.severity.dictionary;
  return column;
}
