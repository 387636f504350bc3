// A batch as lines for people: who called whom, what came back, and why it failed. Used on terminals, at human rates.

import { styleText } from 'node:util';
import type { Batch } from '../pipeline/batch.ts';
import { formatTime, words } from '../pipeline/time.ts';

/** Widths that fit most names; a longer one pushes its line to the right rather than being cut. */
const nameWidth = 13;
const targetWidth = 26;

export type TableOptions = {
  /** Whether to colour: the caller knows whether a person is looking (isTTY, NO_COLOR). */
  colour: boolean;
};

/** Writes records as aligned lines, with a second line where there is an explanation. */
export class TableWriter {
  readonly #colour: boolean;

  constructor(options: TableOptions) {
    this.#colour = options.colour;
  }

  /** The selected rows as text, each line ended by a newline. */
  format(batch: Batch): string {
    let text = '';
    for (let i = 0; i < batch.count; i++) text += this.#line(batch, batch.selection[i] ?? 0);
    return text;
  }

  #line(batch: Batch, row: number): string {
    const field = (name: string): string | undefined => {
      const text = batch.text(batch.column(name), row);
      return text === undefined ? undefined : printable(text);
    };
    const time = clock(batch, row);
    if (field('log.parse_error') !== undefined) {
      const line = String(batch.bodyValue(row) ?? '').slice(0, 200);
      return `${time}  ${this.#paint('yellow', '???')}  ${printable(line)}\n`;
    }
    const code = field('response.code');
    const who = `${(field('mesh.source.service') ?? field('mesh.source.workload') ?? hostOf(field('source.address')) ?? '?').padEnd(nameWidth)} -> ${destination(field)}`;
    const request = target(field);
    const duration = field('request.duration');
    const flags = field('response.flags') ?? '';
    const cells = [
      `${time}  ${direction(field)}`,
      who.padEnd(nameWidth * 2 + 4),
      request.padEnd(targetWidth),
      this.#status(code).padStart(3),
      (duration === undefined ? '-' : `${Math.round(Number(duration))} ms`).padStart(8),
    ];
    const tail = isTcp(field)
      ? `${bytes(field('request.size'))} in, ${bytes(field('response.size'))} out`
      : '';
    const line = [...cells, [this.#paint('red', flags), tail].filter(Boolean).join('  ')].join(
      '  ',
    );
    const why = field('mesh.explanation');
    const reason = why === undefined ? '' : `${' '.repeat(19)}${this.#paint('dim', why)}\n`;
    return `${line.trimEnd()}\n${reason}`;
  }

  #status(code: string | undefined): string {
    if (code === undefined || code === '0') return '  -';
    if (code >= '500') return this.#paint('red', code);
    return code >= '400' ? this.#paint('yellow', code) : code;
  }

  #paint(style: 'red' | 'yellow' | 'dim', text: string): string {
    if (!this.#colour || text === '') return text;
    return styleText(style, text, { validateStream: false });
  }
}

type FieldReader = (name: string) => string | undefined;

/** Time of day in UTC, as the proxies print it. */
function clock(batch: Batch, row: number): string {
  if (!batch.timeWords(row)) return '--:--:--.---';
  const nanoseconds = (BigInt(words.high) << 32n) | BigInt(words.low >>> 0);
  return formatTime(nanoseconds).slice(11, 23);
}

function direction(field: FieldReader): string {
  if (field('mesh.reporter') === 'gateway') return 'GW ';
  const value = field('mesh.direction');
  return value === 'inbound' ? 'IN ' : value === 'outbound' ? 'OUT' : ' - ';
}

function destination(field: FieldReader): string {
  const service = field('mesh.destination.service');
  if (service === undefined) {
    return (
      field('request.host') ?? field('upstream.address') ?? field('destination.address') ?? '?'
    );
  }
  const subset = field('mesh.destination.subset');
  if (subset !== undefined) return `${service}:${subset}`;
  return isTcp(field) ? `${service}:${field('mesh.destination.port') ?? '?'}` : service;
}

function isTcp(field: FieldReader): boolean {
  return field('request.method') === undefined && field('request.protocol') === undefined;
}

function target(field: FieldReader): string {
  if (isTcp(field)) return 'TCP';
  const path = field('request.path') ?? '-';
  const shown = path.length > 60 ? `${path.slice(0, 59)}…` : path;
  return `${field('request.method') ?? '-'} ${shown}`;
}

function hostOf(address: string | undefined): string | undefined {
  return address?.replace(/:\d+$/, '');
}

function bytes(text: string | undefined): string {
  const count = Number(text ?? 0);
  if (count < 1000) return `${count} B`;
  return count < 1e6 ? `${(count / 1000).toFixed(1)} kB` : `${(count / 1e6).toFixed(1)} MB`;
}

/** Control characters from the network must not reach a terminal. */
function printable(text: string): string {
  return text.replace(/[\x00-\x1f\x7f-\x9f]/g, '·');
}
