// What a peer lets us send: its settings and its windows (RFC 9113, sections 5.2, 6.5 and 6.9).

import { errorCode, frameBytesMax, setting, windowDefault, windowMax } from './frames.ts';

/** Settings in one frame: nobody has use for more. */
const settingsMax = 32;
/** What peers remember of headers by default. */
const tableBytesDefault = 4096;

/** What waits for room. */
type Waiting = { flush(): void };

export class PeerWindows {
  /** Of the connection. */
  room = windowDefault;
  /** Of a stream that is new. */
  initial = windowDefault;
  /** The peer wants less to be remembered than we would be allowed to. */
  hasSmallTable = false;
  /** Streams whose bytes wait for room on the connection. Those that wait for room of their own are not among them. */
  readonly waiting = new Set<Waiting>();
  /** Of one frame. */
  frameBytes = frameBytesMax;
  /** Streams that may be open. */
  streamsMax = Number.POSITIVE_INFINITY;

  /**
   * A frame of settings. Returns how the peer breaks the rules, or how much larger the window of each stream is. Not all
   * of them may have been changed when it breaks the rules.
   */
  set(payload: Buffer): { readonly problem?: number; readonly more: number } {
    if (payload.length > settingsMax * 6) return { problem: errorCode.ENHANCE_YOUR_CALM, more: 0 };
    const before = this.initial;
    for (let at = 0; at < payload.length; at += 6) {
      const problem = this.#setOne(payload.readUInt16BE(at), payload.readUInt32BE(at + 2));
      if (problem !== undefined) return { problem, more: 0 };
    }
    return { more: this.initial - before };
  }

  #setOne(id: number, value: number): number | undefined {
    if (id === setting.HEADER_TABLE_SIZE && value < tableBytesDefault) this.hasSmallTable = true;
    if (id === setting.ENABLE_PUSH) return value > 1 ? errorCode.PROTOCOL_ERROR : undefined;
    if (id === setting.MAX_FRAME_SIZE) {
      if (value < frameBytesMax || value >= 2 ** 24) return errorCode.PROTOCOL_ERROR;
      this.frameBytes = value;
      return undefined;
    }
    if (id === setting.MAX_CONCURRENT_STREAMS) this.streamsMax = value;
    if (id !== setting.INITIAL_WINDOW_SIZE) return undefined;
    if (value > windowMax) return errorCode.FLOW_CONTROL_ERROR;
    this.initial = value;
    return undefined;
  }

  /** More room on the connection. False: it is nothing, or too much. */
  open(bytes: number): boolean {
    this.room += bytes;
    if (bytes === 0 || this.room > windowMax) return false;
    this.flush();
    return true;
  }

  /** Lets those send that wait for room on the connection. */
  flush(): void {
    // Each has room of its own: it sends something, or leaves.
    for (const stream of this.waiting) {
      if (this.room <= 0) break;
      stream.flush();
    }
  }
}
