// Blocks of headers out of HEADERS and CONTINUATION frames (RFC 9113, sections 4.3, 6.2 and 6.10).

import type { FrameHead } from './frame_reader.ts';
import { errorCode, flag, frameType } from './frames.ts';

/** Longer than this come from nobody who is well. */
const blockBytesMax = 64 * 1024;
const blockFramesMax = 32;

/** `bytes` are valid for as long as the frame is that ended it. `flags` are those of HEADERS. */
export type Block = { readonly stream: number; readonly flags: number; readonly bytes: Buffer };

type Begun = { stream: number; flags: number; parts: Buffer[]; bytes: number };

export class BlockReader {
  #begun: Begun | undefined;

  /** A block that has begun: nothing but its continuation may come. */
  get begun(): object | undefined {
    return this.#begun;
  }

  /** Whether a frame may come now. */
  allows(type: number, stream: number): boolean {
    const begun = this.#begun;
    return begun === undefined || (type === frameType.CONTINUATION && stream === begun.stream);
  }

  /** Returns the block, undefined while more of it has to come, or an error code. */
  begin({ flags, stream }: FrameHead, payload: Buffer): Block | number | undefined {
    let start = 0;
    let end = payload.length;
    if (flags & flag.PADDED) end -= payload[start++] ?? 0;
    if (flags & flag.PRIORITY) start += 5;
    if (stream % 2 === 0 || start > end) return errorCode.PROTOCOL_ERROR;
    const isWhole = start === 0 && end === payload.length;
    const bytes = isWhole ? payload : payload.subarray(start, end);
    if (flags & flag.END_HEADERS) return { stream, flags, bytes };
    this.#begun = { stream, flags, parts: [Buffer.from(bytes)], bytes: bytes.length };
    return undefined;
  }

  continue({ flags }: FrameHead, payload: Buffer): Block | number | undefined {
    const begun = this.#begun;
    if (begun === undefined) return errorCode.PROTOCOL_ERROR;
    begun.parts.push(Buffer.from(payload));
    begun.bytes += payload.length;
    if (begun.bytes > blockBytesMax || begun.parts.length > blockFramesMax) {
      return errorCode.ENHANCE_YOUR_CALM;
    }
    if ((flags & flag.END_HEADERS) === 0) return undefined;
    this.#begun = undefined;
    return { stream: begun.stream, flags: begun.flags, bytes: Buffer.concat(begun.parts) };
  }
}
