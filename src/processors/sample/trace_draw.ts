// The random number of a trace, as W3C's trace context level 2 and OpenTelemetry's consistent sampling have it: the last
// 56 bits of the trace id, or `rv` of the trace state. A record is kept when it is at or above a threshold, so that
// samplers with different percentages choose subsets of one another.

import { FieldReader } from '../../access_log/filter/field_reader.ts';
import { hexDigit } from '../../access_log/filter/request_random.ts';
import type { Batch } from '../../pipeline/batch.ts';

const randomDigits = 14;
const exactDigits = 13;
const exactMost = 16 ** exactDigits;
const traceIdDigits = 32;
/** `00-<trace id>-<span id>-<flags>` */
const parentPrefix = 3;

export class TraceDraw {
  readonly #traceId = new FieldReader([
    { name: 'traceId', record: 'traceId' },
    { name: 'trace.id' },
  ]);
  readonly #parent = new FieldReader([{ name: 'request.headers.traceparent' }]);
  readonly #state = new FieldReader([{ name: 'request.headers.tracestate' }]);

  bind(batch: Batch): void {
    this.#traceId.bind(batch);
    this.#parent.bind(batch);
    this.#state.bind(batch);
  }

  /**
   * A number in [0, 1) that is below p exactly when the trace's randomness is at or above the threshold of chance p; -1
   * when the row has no trace id.
   */
  unit(row: number): number {
    const explicit = this.#state
      .text(row)
      ?.match(/(?:^|,)\s*ot=(?:[^,]*;)?rv:([0-9a-f]{14})(?:[;,]|$)/);
    if (explicit?.[1] !== undefined) return unitOfDigits(Buffer.from(explicit[1]), 0);
    const id = this.#traceId;
    if (id.span(row) && id.end - id.start === traceIdDigits) {
      return unitOfDigits(id.bytes, id.end - randomDigits);
    }
    const parent = this.#parent;
    if (parent.span(row) && parent.end - parent.start >= parentPrefix + traceIdDigits) {
      return unitOfDigits(parent.bytes, parent.start + parentPrefix + traceIdDigits - randomDigits);
    }
    return -1;
  }
}

/** Of 14 hexadecimal digits, of which a double holds 13 exactly; -1 when they are none. */
function unitOfDigits(bytes: Uint8Array, at: number): number {
  let value = 0;
  for (let i = 0; i < randomDigits; i++) {
    const digit = hexDigit(bytes[at + i]!);
    if (digit < 0) return -1;
    if (i < exactDigits) value = value * 16 + digit;
  }
  return (exactMost - 1 - value) / exactMost;
}
