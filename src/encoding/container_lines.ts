// Lines of a container runtime into batches: content as rows, the runtime's time and stream as columns, and lines that
// the runtime has split put together again, per stream.

import { Batch } from '../pipeline/batch.ts';
import { buffers, slackBytes } from '../pipeline/buffers.ts';
import { type Column, Dictionary } from '../pipeline/column.ts';
import { type Framing, frame, readFrame, streamNames, tagNames } from './container.ts';
import type { LineLimit, Lines } from './lines.ts';

const streams = new Dictionary();
for (const name of streamNames) streams.code(name);
const tags = new Dictionary();
for (const name of tagNames) tags.code(name);

const partialTag = 0;
const fullTag = 1;

/** Docker cuts at 16 KiB. A shorter piece without newline was not cut by Docker and will hardly be continued. */
const dockerPieceBytes = 16 * 1024;
const patienceMs = 5000;
const shortPatienceMs = 500;
/** How far other lines may run ahead of an unfinished one: so much is read again after a crash. */
const aheadBytesMin = 1024 * 1024;

/** The pieces of a line that is not yet complete. */
type Pending = {
  /** Where its first frame begins in the file. */
  offset: number;
  timeLow: number;
  timeHigh: number;
  docker: boolean;
  bytes: Buffer;
  length: number;
  /** It exceeded the limit: what comes is not kept. */
  full: boolean;
  untilMs: number;
};

export type Chunk = {
  readonly lines: Lines;
  readonly bytes: Buffer;
  readonly length: number;
  /** Where bytes[0] stands in the file. */
  readonly offset: number;
  readonly nowMs: number;
};

/** The framing of one file, with what is unfinished in it. */
export class ContainerLines {
  /** Of the last `read`: lines without framing (passed on as they are), cut and dropped ones. */
  unframed = 0;
  truncated = 0;
  dropped = 0;
  /** Of the last `read` or `flush`: where each row began in the file. */
  readonly offsets: number[] = [];
  readonly #framing: Framing;
  readonly #limit: LineLimit;
  readonly #pending: (Pending | undefined)[] = [undefined, undefined];
  #time: Column | undefined;
  #stream: Column | undefined;
  #tag: Column | undefined;

  constructor(framing: Framing, limit: LineLimit) {
    this.#framing = framing;
    this.#limit = limit;
  }

  /** Where the earliest unfinished line begins: nothing from there on is complete. */
  get floor(): number {
    const [out, err] = this.#pending;
    return Math.min(
      out?.offset ?? Number.POSITIVE_INFINITY,
      err?.offset ?? Number.POSITIVE_INFINITY,
    );
  }

  /** A batch of the chunk's lines. It takes over the chunk's buffer, or gives it back when it needs a larger one. */
  read(chunk: Chunk): Batch {
    const { lines } = chunk;
    this.unframed = 0;
    this.truncated = 0;
    this.dropped = 0;
    const batch = this.#batch(chunk.bytes, chunk.length, lines.count + 4);
    for (let i = 0; i < lines.count; i++) {
      const start = lines.start[i]!;
      const end = lines.end[i]!;
      if (!readFrame(this.#framing, batch.bytes, start, end)) {
        this.unframed++;
        this.offsets.push(chunk.offset + start);
        batch.addRow(start, end);
        continue;
      }
      if (!frame.partial && this.#pending[frame.stream] === undefined) {
        this.offsets.push(chunk.offset + start);
        const row = batch.addRow(frame.start, frame.end);
        this.#facts(row, frame.stream, frame, frame.docker, fullTag);
        continue;
      }
      this.#piece(batch, chunk.offset + start, chunk.nowMs);
    }
    return batch;
  }

  /** Rows of unfinished lines that nobody has continued for a while, or of all of them. */
  flush(nowMs: number, all = false): Batch | undefined {
    if (
      this.#pending.every((pending) => pending === undefined || (!all && pending.untilMs > nowMs))
    ) {
      return undefined;
    }
    const batch = this.#batch(buffers.take(0), 0, 2);
    for (const [stream, pending] of this.#pending.entries()) {
      if (pending !== undefined && (all || pending.untilMs <= nowMs)) this.#emit(batch, stream);
    }
    return batch;
  }

  #batch(bytes: Buffer, length: number, rows: number): Batch {
    const batch = new Batch(bytes, length, rows);
    this.offsets.length = 0;
    this.#time = batch.recordColumn('time');
    batch.time = this.#time;
    this.#stream = batch.addCodes('log.iostream', streams);
    this.#tag = batch.addCodes('logtag', tags);
    return batch;
  }

  #facts(
    row: number,
    stream: number,
    time: { timeLow: number; timeHigh: number },
    docker: boolean,
    tag: number,
  ): void {
    this.#time!.setInt64(row, time.timeLow, time.timeHigh);
    this.#stream!.setCode(row, stream);
    if (!docker) this.#tag!.setCode(row, tag);
  }

  /** Adds the current frame to the unfinished line of its stream, and makes a row of it when it is complete. */
  #piece(batch: Batch, offset: number, nowMs: number): void {
    const { stream, start, end, partial, docker } = frame;
    let pending = this.#pending[stream];
    const aheadMax = Math.max(aheadBytesMin, 4 * this.#limit.bytesMax);
    if (pending !== undefined && offset - pending.offset > aheadMax) {
      this.#emit(batch, stream);
      pending = undefined;
    }
    const fits = (pending?.length ?? 0) + end - start <= this.#limit.bytesMax;
    if (pending !== undefined && !fits && this.#limit.tooLong === 'split') {
      this.#emit(batch, stream);
      pending = undefined;
    }
    if (pending === undefined) {
      pending = {
        offset,
        timeLow: frame.timeLow,
        timeHigh: frame.timeHigh,
        docker,
        bytes: Buffer.allocUnsafe(Math.max(2 * (end - start), 4096)),
        length: 0,
        full: false,
        untilMs: 0,
      };
      this.#pending[stream] = pending;
    }
    const short = docker && end - start < dockerPieceBytes;
    pending.untilMs = nowMs + (short ? shortPatienceMs : patienceMs);
    this.#append(pending, batch.bytes, start, end);
    if (!partial) this.#emit(batch, stream);
  }

  #append(pending: Pending, bytes: Buffer, start: number, end: number): void {
    if (pending.full) return;
    const { bytesMax, tooLong } = this.#limit;
    let count = end - start;
    if (pending.length + count > bytesMax && tooLong !== 'split') {
      pending.full = true;
      if (tooLong === 'drop') return;
      count = bytesMax - pending.length;
      this.truncated++;
    }
    if (pending.length + count > pending.bytes.length) {
      const larger = Buffer.allocUnsafe(2 * (pending.length + count));
      pending.bytes.copy(larger, 0, 0, pending.length);
      pending.bytes = larger;
    }
    bytes.copy(pending.bytes, pending.length, start, start + count);
    pending.length += count;
  }

  /** The unfinished line of a stream becomes a row, with the time and the tag of its first piece. */
  #emit(batch: Batch, stream: number): void {
    const pending = this.#pending[stream]!;
    this.#pending[stream] = undefined;
    if (pending.full && this.#limit.tooLong === 'drop') {
      this.dropped++;
      return;
    }
    const at = room(batch, pending.length);
    pending.bytes.copy(batch.bytes, at, 0, pending.length);
    this.offsets.push(pending.offset);
    const row = batch.addRow(at, at + pending.length);
    this.#facts(row, stream, pending, pending.docker, partialTag);
  }
}

/** Makes room for `count` bytes after the data of a batch and returns where they go. */
function room(batch: Batch, count: number): number {
  const at = batch.length;
  if (at + count + slackBytes > batch.bytes.length) {
    const larger = buffers.take(2 * (at + count));
    batch.bytes.copy(larger, 0, 0, at);
    buffers.give(batch.bytes);
    batch.bytes = larger;
  }
  batch.length = at + count;
  return at;
}
