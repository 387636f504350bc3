// Lines of a text format read into columns. Nearly every line is read in one pass forward; the others are read from both
// ends, and what is between is solved (region.ts). Nothing is written before the whole line fits.

import type { Batch } from '../../pipeline/batch.ts';
import { viewOf } from '../../pipeline/buffers.ts';
import { ABSENT, Column, NUMBER, TEXT } from '../../pipeline/column.ts';
import {
  AMBIGUOUS,
  type LineParser,
  NO_FIT,
  type ParseOutcome,
  UNDERSTOOD,
} from '../line_parser.ts';
import { type CellWriter, dictionaryOf, writerOf } from './cells.ts';
import { forward, fromRight, type Line, stop } from './passes.ts';
import type { Program, Slot } from './program.ts';
import { RecordTime } from './record_time.ts';
import { solve } from './region.ts';

const nothing = Buffer.alloc(0);
const noColumn = new Column('', 1);
/** Marks kinds whose empty spans are values. */
const keepsEmpty = 16;

/**
 * A parser over a compiled format. With `emptyIsAbsent` nothing between the texts is a value that was not there, as
 * `omit_empty_values` prints it; without, it is an empty header.
 */
export function textParser(
  name: string,
  program: Program,
  { emptyIsAbsent = false }: { emptyIsAbsent?: boolean } = {},
): TextParser {
  return new TextParser(name, program, emptyIsAbsent);
}

export class TextParser implements LineParser {
  readonly name: string;
  readonly #program: Program;
  /** Per slot: what writes its values; undefined: they are dropped. */
  readonly #writers: (CellWriter | undefined)[];
  /** Per slot: the kind of cell that its values are spans for; ABSENT: they need their writer. */
  readonly #kinds: Uint8Array;
  /** Slots of one and the same command. */
  readonly #twins: readonly (readonly [number, number])[];
  readonly #timeSlot: number;
  readonly #time: RecordTime | undefined;
  readonly #spans: { starts: Int32Array; ends: Int32Array };
  readonly #line: Line = { bytes: nothing, view: viewOf(nothing), start: 0, end: 0 };
  #batch: Batch | undefined;
  #attached = false;
  #columns: Column[] = [];
  #stopSlot = -1;
  #stopAt = 0;

  constructor(name: string, program: Program, emptyIsAbsent: boolean) {
    this.name = name;
    this.#program = program;
    const { slots, jsonLike } = program;
    const keeps = keptSlots(slots);
    this.#writers = slots.map((slot, k) => (keeps[k] ? writerOf(slot, jsonLike) : undefined));
    this.#kinds = Uint8Array.from(slots, (slot, k) => {
      if (!keeps[k] || (jsonLike && slot.literal[0] === 34)) return ABSENT;
      return spanKind(slot, emptyIsAbsent);
    });
    this.#twins = twinsOf(slots);
    this.#timeSlot = slots.findIndex(({ target }, k) => keeps[k] && RecordTime.isMeant(target));
    const time = slots[this.#timeSlot];
    this.#time = time === undefined ? undefined : new RecordTime(time.command);
    this.#spans = {
      starts: new Int32Array(slots.length),
      ends: new Int32Array(slots.length),
    };
  }

  begin(batch: Batch): void {
    this.#batch = batch;
    this.#attached = false;
    this.#line.bytes = batch.bytes;
    this.#line.view = viewOf(batch.bytes);
  }

  parse(batch: Batch, row: number, start: number, end: number): ParseOutcome {
    if (this.parseAtOnce(batch, row, start, end)) {
      return this.#twins.length === 0 || this.#twinsAgree(batch.bytes) ? UNDERSTOOD : AMBIGUOUS;
    }
    this.#stopSlot = stop.slot;
    this.#stopAt = stop.at - start;
    return this.#parseTangled(batch, row, end);
  }

  /** `parse` without a second look at lines that one pass cannot read. */
  parseAtOnce(batch: Batch, row: number, start: number, end: number): boolean {
    if (batch !== this.#batch) this.begin(batch);
    this.#line.start = start;
    this.#line.end = end;
    if (!forward(this.#program, this.#spans, this.#line, false)) return false;
    this.#keep(batch, row);
    return true;
  }

  reason(): string {
    const { slots, head } = this.#program;
    const at = this.#stopAt;
    if (this.#stopSlot < 0) return `does not begin with ${JSON.stringify(head.toString())}`;
    const slot = slots[this.#stopSlot]!;
    return `stopped fitting at byte ${at}, in %${slot.command.source}%`;
  }

  #parseTangled(batch: Batch, row: number, end: number): ParseOutcome {
    const { bytes } = batch;
    const { slots } = this.#program;
    forward(this.#program, this.#spans, this.#line, true);
    // Past the last slot there is only text that the format does not have.
    if (stop.slot < 0) return NO_FIT;
    const region = { first: stop.slot, last: 0, start: stop.at, end: 0 };
    fromRight(this.#program, this.#spans, bytes, {
      from: region.start,
      end,
      lowest: region.first,
    });
    if (stop.slot < 0) return NO_FIT;
    region.last = stop.slot;
    region.end = stop.value;
    const solution = solve(slots, this.#spans, bytes, region);
    if (solution === 2) return NO_FIT;
    this.#keep(batch, row);
    return solution === 1 ? AMBIGUOUS : UNDERSTOOD;
  }

  /** Whether values that the format prints twice are the same: where they differ, one of them is not what it seems. */
  #twinsAgree(bytes: Buffer): boolean {
    const { starts, ends } = this.#spans;
    return this.#twins.every(
      ([one, other]) =>
        bytes.compare(bytes, starts[one], ends[one], starts[other], ends[other]) === 0,
    );
  }

  /** Writes the values of the line that was just read. */
  #keep(batch: Batch, row: number): void {
    if (!this.#attached) this.#attach(batch);
    const { starts, ends } = this.#spans;
    const bytes = batch.bytes;
    const columns = this.#columns;
    const kinds = this.#kinds;
    for (let k = 0; k < columns.length; k++) {
      const a = starts[k]!;
      const b = ends[k]!;
      if (b - a === 1 && bytes[a] === 45) continue;
      const kind = kinds[k]!;
      const column = columns[k]!;
      if (kind !== ABSENT) {
        if (a === b && kind < keepsEmpty) continue;
        column.kind[row] = kind & 15;
        column.a[row] = a;
        column.b[row] = b;
      } else this.#writers[k]?.(batch, column, row, a, b);
    }
    const slot = this.#timeSlot;
    if (slot >= 0) this.#time!.keep(batch, row, starts[slot]!, ends[slot]!);
  }

  #attach(batch: Batch): void {
    const { slots } = this.#program;
    this.#columns = slots.map(({ target }, k) => {
      if (this.#writers[k] === undefined) return noColumn;
      const column = batch.ownColumn(target.field);
      column.dictionary ??= dictionaryOf(target.store);
      return column;
    });
    if (this.#timeSlot >= 0) this.#time!.attach(batch, this.#columns[this.#timeSlot]!);
    this.#attached = true;
  }
}

function twinsOf(slots: readonly Slot[]): (readonly [number, number])[] {
  const first = new Map<string, number>();
  return slots.flatMap(({ command: { source } }, k) => {
    const twin = first.get(source);
    if (twin === undefined) first.set(source, k);
    return twin === undefined ? [] : [[twin, k] as const];
  });
}

/** Of several slots with one field the first that loses nothing is kept. */
function keptSlots(slots: readonly Slot[]): boolean[] {
  const best = new Map<string, number>();
  slots.forEach(({ target }, k) => {
    const known = best.get(target.field);
    const better = known !== undefined && slots[known]!.target.loses !== undefined;
    if (known === undefined || (better && target.loses === undefined)) best.set(target.field, k);
  });
  return slots.map(({ target }, k) => target.store !== 'none' && best.get(target.field) === k);
}

/** The kind of the cells that are spans of the line, absent when empty unless marked; ABSENT: a writer makes them. */
function spanKind({ target }: Slot, emptyIsAbsent: boolean): number {
  if (target.store === 'time') return TEXT;
  if (target.store === 'number') return NUMBER;
  if (target.store !== 'text') return ABSENT;
  // A header that is there and empty is not a missing one.
  return emptyIsAbsent || target.alphabet !== 'free' ? TEXT : TEXT | keepsEmpty;
}
