// How a request went: its severity, and for failures the explanation. Both are worked out once per distinct
// combination of flags, code, details and reason.

import { explain } from '../../access_log/explain.ts';
import { adviceOf } from '../../access_log/flag_advice.ts';
import { splitFlags } from '../../access_log/flag_lists.ts';
import { CellMemo } from '../../mesh/cell_memo.ts';
import { type Names, NO_NAME } from '../../mesh/names.ts';
import type { Batch } from '../../pipeline/batch.ts';
import { viewOf } from '../../pipeline/buffers.ts';
import { ABSENT, CODE, type Column, type Dictionary } from '../../pipeline/column.ts';

/** Severity numbers by class of outcome. */
export type Severities = {
  readonly server_error: number;
  readonly upstream_failure: number;
  readonly client_error: number;
  readonly success: number;
};

type FlagFacts = {
  readonly id: number;
  readonly names: readonly string[];
  readonly blamesUpstream: boolean;
  readonly blamesClient: boolean;
};

/** A text of the proxy, and the explanations made with it: first by flags, code and service, then by reason and port. */
type TextFacts = {
  readonly id: number;
  readonly text: string | undefined;
  readonly explanations: Map<number, Map<number, number>>;
};

const explanationsMax = 8192;
const noFlags: FlagFacts = { id: 0, names: [], blamesUpstream: false, blamesClient: false };
const noText = (): TextFacts => ({ id: 0, text: undefined, explanations: new Map() });

/** gRPC statuses that OpenTelemetry counts as errors of the server; OK is none, any other blames the client. */
const grpcServerErrors = new Set(
  'Unknown 2 DeadlineExceeded 4 Unimplemented 12 Internal 13 Unavailable 14 DataLoss 15'
    .toLowerCase()
    .split(' '),
);

export class OutcomeReader {
  /** The outcome of the last `read`. */
  severity = 0;
  /** Whether the row says that something went wrong. */
  failed = false;
  readonly #severities: Severities;
  readonly #names: Names;
  #ids = 1;
  readonly #flags = new CellMemo((text) => this.#flagFacts(splitFlags(text)));
  readonly #details = new CellMemo((text) => this.#textFacts(text));
  readonly #reasons = new CellMemo((text) => this.#textFacts(text));
  readonly #grpc = new CellMemo((text) => text.toLowerCase().replaceAll('_', ''));
  #noDetails = noText();
  readonly #noReason = noText();
  #explanations = 0;
  #flagsByCode: (FlagFacts | undefined)[] = [];
  #flagDictionary: Dictionary | undefined = undefined;
  #batch!: Batch;
  #view!: DataView;
  #rowFlags = noFlags;
  #rowCode = 0;
  #codes: Column | undefined = undefined;
  #flagColumn: Column | undefined = undefined;
  #detailColumn: Column | undefined = undefined;
  #reasonColumns: Column[] = [];
  #grpcColumns: Column[] = [];

  constructor(severities: Severities, names: Names) {
    this.#severities = severities;
    this.#names = names;
  }

  begin(batch: Batch, renewed: boolean): void {
    if (renewed || this.#explanations > explanationsMax) this.#clear();
    this.#batch = batch;
    this.#view = viewOf(batch.bytes);
    const all = (names: readonly string[]) =>
      names.map((name) => batch.column(name)).filter((column) => column !== undefined);
    this.#codes = batch.column('response.code');
    this.#flagColumn = batch.column('response.flags');
    this.#detailColumn = batch.column('response.code_details');
    this.#reasonColumns = all([
      'upstream.transport_failure_reason',
      'connection.transport_failure_reason',
      'connection.termination_details',
    ]);
    this.#grpcColumns = all(['response.grpc_status', 'response.trailers.grpc-status']);
    if (this.#flagColumn?.dictionary !== this.#flagDictionary) {
      this.#flagDictionary = this.#flagColumn?.dictionary;
      this.#flagsByCode = [];
    }
  }

  /** Reads severity and failure of a row. */
  read(row: number): void {
    const severities = this.#severities;
    const code = this.#batch.number(this.#codes, row);
    const flags = this.#flagsAt(row);
    this.#rowFlags = flags;
    this.#rowCode = code > 0 && code < 1000 ? code : 0;
    let severity = severities.success;
    if (flags.blamesUpstream) severity = severities.upstream_failure;
    if (code >= 500) severity = Math.max(severity, severities.server_error);
    else if (code >= 400) severity = Math.max(severity, severities.client_error);
    else if (flags.blamesClient) severity = Math.max(severity, severities.client_error);
    this.failed = flags.blamesUpstream || flags.blamesClient || code >= 400;
    const columns = this.#grpcColumns;
    for (let i = 0; i < columns.length; i++) {
      const status = this.#grpc.at(this.#batch, this.#view, columns[i], row);
      if (status === undefined || status === 'ok' || status === '0') continue;
      const blame = grpcServerErrors.has(status) ? 'server_error' : 'client_error';
      severity = Math.max(severity, severities[blame]);
      this.failed = true;
    }
    this.severity = severity;
    // With a status the reason is one of an attempt that was made good by another.
    if (!this.failed && !(code > 0)) this.failed = this.#reason(row) !== this.#noReason;
  }

  /** The code of the explanation of the row that was read, for a failure; `service` and `port` are who was called. */
  explanation(row: number, service: number, port: number): number {
    const details =
      this.#details.at(this.#batch, this.#view, this.#detailColumn, row) ?? this.#noDetails;
    const reason = this.#reason(row);
    const first = (this.#rowFlags.id * 1024 + this.#rowCode) * 65_536 + service + 1;
    const second = reason.id * 65_536 + Math.max(0, port);
    let byReason = details.explanations.get(first);
    if (byReason === undefined) {
      byReason = new Map();
      details.explanations.set(first, byReason);
    }
    let code = byReason.get(second);
    if (code === undefined) {
      code = this.#explain(details, reason, service, port);
      byReason.set(second, code);
      this.#explanations++;
    }
    return code;
  }

  #explain(details: TextFacts, reason: TextFacts, service: number, port: number): number {
    const name = service === NO_NAME ? undefined : this.#names.text(service);
    return this.#names.code(
      explain({
        code: this.#rowCode,
        flags: this.#rowFlags.names,
        // That the service gave an answer explains an error of its own, not what a client asked for wrongly.
        details: details.text === 'via_upstream' && this.#rowCode < 500 ? undefined : details.text,
        reason: reason.text,
        upstream: name !== undefined && port >= 0 ? `${name}:${port}` : name,
      }),
    );
  }

  #flagsAt(row: number): FlagFacts {
    const column = this.#flagColumn;
    if (column === undefined || column.kind[row] === ABSENT) return noFlags;
    if (column.kind[row] !== CODE) {
      return this.#flags.at(this.#batch, this.#view, column, row) ?? noFlags;
    }
    const code = column.a[row]!;
    let facts = this.#flagsByCode[code];
    if (facts === undefined) {
      facts = this.#flags.of(this.#batch.text(column, row) ?? '');
      this.#flagsByCode[code] = facts;
    }
    return facts;
  }

  #reason(row: number): TextFacts {
    for (let i = 0; i < this.#reasonColumns.length; i++) {
      const facts = this.#reasons.at(this.#batch, this.#view, this.#reasonColumns[i], row);
      if (facts !== undefined) return facts;
    }
    return this.#noReason;
  }

  #flagFacts(names: readonly string[]): FlagFacts {
    if (names.length === 0) return noFlags;
    const blames = names.map((name) => adviceOf(name)?.blame);
    return {
      id: this.#ids++,
      names,
      blamesUpstream: blames.includes('upstream'),
      blamesClient: blames.includes('client'),
    };
  }

  #textFacts(text: string): TextFacts {
    return { id: this.#ids++, text, explanations: new Map() };
  }

  #clear(): void {
    this.#ids = 1;
    this.#explanations = 0;
    this.#noDetails = noText();
    this.#flags.clear();
    this.#details.clear();
    this.#reasons.clear();
    this.#flagsByCode = [];
  }
}
