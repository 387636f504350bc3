// What each type of frame has to be like, whatever is going on (RFC 9113, section 6).

import type { FrameHead } from './frame_reader.ts';
import { errorCode, flag, frameType } from './frames.ts';

/** Types whose frames belong to a stream, and types whose frames belong to the connection. */
const ofStreams = new Set<number>([
  frameType.DATA,
  frameType.HEADERS,
  frameType.PRIORITY,
  frameType.RST_STREAM,
  frameType.PUSH_PROMISE,
  frameType.CONTINUATION,
]);
/** Types that come only once a stream was opened. */
const ofOpened = new Set<number>([
  frameType.DATA,
  frameType.HEADERS,
  frameType.RST_STREAM,
  frameType.WINDOW_UPDATE,
]);
const ofConnections = new Set<number>([frameType.SETTINGS, frameType.PING, frameType.GOAWAY]);

/** Of frames that have a payload of so many bytes. */
const lengths = new Map<number, number>([
  [frameType.PRIORITY, 5],
  [frameType.RST_STREAM, 4],
  [frameType.PING, 8],
  [frameType.WINDOW_UPDATE, 4],
]);
const goawayBytesMin = 8;
const settingBytes = 6;

/**
 * Under which code a frame ends the connection; undefined: nothing is wrong with what its head says. `wasOpened`: there
 * is a stream of its number, or was.
 */
export function faultOf(head: FrameHead, wasOpened: boolean): number | undefined {
  const { type, flags, stream, length } = head;
  if (!wasOpened && ofOpened.has(type)) return errorCode.PROTOCOL_ERROR;
  if (stream === 0 ? ofStreams.has(type) : ofConnections.has(type)) return errorCode.PROTOCOL_ERROR;
  return isLengthRight(type, flags, length) ? undefined : errorCode.FRAME_SIZE_ERROR;
}

function isLengthRight(type: number, flags: number, length: number): boolean {
  if (type === frameType.GOAWAY) return length >= goawayBytesMin;
  if (type === frameType.SETTINGS) {
    return flags & flag.ACK ? length === 0 : length % settingBytes === 0;
  }
  return length === (lengths.get(type) ?? length);
}
