// Who speaks on the streams: facts are kept once for all streams of a proxy, within bounds.

import type { Context } from '../../pipeline/component.ts';
import type { AnyValue, Attributes } from '../../pipeline/record.ts';

/** What one proxy may say of itself, and all of them, in memory. Beyond it is kept without what is long. */
const speakerBytesMax = 1024 * 1024;
const allBytesMax = 64 * 1024 * 1024;
/** Proxies are known for longer than their streams are open, up to so many. */
const speakersMax = 10_000;
const shortMax = 256;
/** What values take beside their bytes, about. */
const valueBytes = 16;
const objectBytes = 64;

const shortened = 'what new proxies say of themselves is kept without metadata';

/** Facts of one proxy. */
export type Speaker = {
  readonly facts: Attributes;
  readonly key: string;
  readonly bytes: number;
  /** That are open. */
  streams: number;
};

export class Speakers {
  readonly #degraded: Context['degraded'];
  readonly #known = new Map<string, Speaker>();
  /** Of them, those without a stream; who has been for longest first. */
  readonly #idle = new Set<Speaker>();
  #bytes = 0;
  /** Of those with a stream. */
  #openBytes = 0;

  constructor({ degraded }: Context) {
    this.#degraded = degraded;
  }

  /** A stream says so. The same facts are the same object, which is how others recognise them. Say `left` in the end. */
  join(facts: Attributes): Speaker {
    const key = JSON.stringify(facts);
    const speaker = this.#known.get(key) ?? this.#add(facts, key);
    if (speaker.streams++ === 0) this.#openBytes += speaker.bytes;
    this.#idle.delete(speaker);
    return speaker;
  }

  /** One stream less. */
  left(speaker: Speaker): void {
    if (--speaker.streams > 0 || speaker.bytes === 0) return;
    this.#openBytes -= speaker.bytes;
    this.#idle.add(speaker);
    if (this.#openBytes < allBytesMax / 2) this.#degraded.end(shortened);
  }

  #add(facts: Attributes, key: string): Speaker {
    const bytes = key.length + bytesOf(facts);
    if (bytes > speakerBytesMax || !this.#makeRoom(bytes)) {
      // As little as its stream takes.
      return { facts: short(facts), key: '', bytes: 0, streams: 0 };
    }
    const speaker = { facts, key, bytes, streams: 0 };
    this.#known.set(key, speaker);
    this.#bytes += bytes;
    return speaker;
  }

  #makeRoom(bytes: number): boolean {
    for (const speaker of this.#idle) {
      if (this.#known.size < speakersMax && this.#bytes + bytes <= allBytesMax) break;
      this.#idle.delete(speaker);
      this.#known.delete(speaker.key);
      this.#bytes -= speaker.bytes;
    }
    const hasRoom = this.#bytes + bytes <= allBytesMax;
    if (!hasRoom) this.#degraded.begin(shortened, 'there is no more room for it');
    return hasRoom;
  }
}

const short = (facts: Attributes): Attributes =>
  Object.fromEntries(
    Object.entries(facts).filter(
      ([, value]) => typeof value === 'string' && value.length <= shortMax,
    ),
  );

function bytesOf(value: AnyValue): number {
  if (typeof value === 'string') return valueBytes + value.length;
  if (value instanceof Uint8Array) return valueBytes + value.length;
  if (typeof value !== 'object' || value === null) return valueBytes;
  let bytes = objectBytes;
  for (const [key, member] of Object.entries(value)) {
    bytes += valueBytes + key.length + bytesOf(member);
  }
  return bytes;
}
