// How far a queue is delivered: noted on disk as it moves, and the files that lie before it are removed.

import type { Context } from '../component.ts';
import { errorChain } from '../errors.ts';
import { faultPoint } from '../fault.ts';
import type { Segments } from './segments.ts';
import type { Position, StateFile } from './state.ts';

const untidy = 'cannot note what the disk queue has delivered, after a restart it comes again';

export class Frontier {
  /** Everything before it is delivered. Whoever moves it says `note` or `clean`. */
  position: Position;
  readonly #segments: Segments;
  readonly #state: StateFile;
  readonly #context: Context;
  #cleaning: Promise<boolean> | undefined;
  #isClosed = false;

  constructor(
    files: { readonly segments: Segments; readonly state: StateFile },
    position: Position,
    context: Context,
  ) {
    this.#segments = files.segments;
    this.#state = files.state;
    this.position = position;
    this.#context = context;
  }

  /** Bytes on disk that are not delivered. */
  get waitingBytes(): number {
    return this.#segments.bytesAfter(this.position);
  }

  /** Records on disk that are not delivered, as far as they can be counted in a moment. */
  get waitingRecords(): number {
    return this.#segments.recordsAfter(this.position);
  }

  /** It was moved: what it was before it is now on disk, for a process that is killed. Files that it has passed go. */
  moved(onRoom: () => void): void {
    if ((this.#segments.first ?? 0) >= this.position.segment) this.#note();
    else void this.clean().then(onRoom);
  }

  /** Forces it to disk, then removes the files before it. Returns whether any was removed. Never rejects. */
  clean(): Promise<boolean> {
    this.#cleaning ??= this.#clean();
    return this.#cleaning;
  }

  /** The frontier first, then the files: never a file gone that the frontier on disk still needs. */
  async #clean(): Promise<boolean> {
    let removed = false;
    await Promise.resolve();
    // The caller moves the frontier on while this waits for the disk.
    for (let segment = -1; segment < this.position.segment; ) {
      segment = this.position.segment;
      if (!this.#note()) break;
      try {
        await this.#state.sync();
        removed = (await this.#segments.removeBefore(segment)) || removed;
      } catch (error) {
        this.troubled(error);
        break;
      }
    }
    this.#cleaning = undefined;
    return removed;
  }

  /** False when it could not be written: then what was delivered since is delivered again after a restart. */
  #note(): boolean {
    // An export that was left behind may still end: its descriptor is another file's by then.
    if (this.#isClosed) return false;
    try {
      faultPoint('before_checkpoint');
      this.#state.write(this.position);
      faultPoint('after_checkpoint');
      this.#context.degraded.end(untidy);
      return true;
    } catch (error) {
      this.troubled(error);
      return false;
    }
  }

  /** The volume has refused something that can wait. */
  troubled(error: unknown): void {
    this.#context.degraded.begin(untidy, errorChain(error));
  }

  /** Forces it to disk, for at most `patienceMs`, and closes its file. */
  async close(patienceMs: number): Promise<void> {
    const end = async (): Promise<void> => {
      await this.#cleaning;
      if (this.#note()) await this.#state.sync().catch((error: unknown) => this.troubled(error));
      this.#isClosed = true;
      this.#state.close();
    };
    // A disk that does not answer must not hold up the end: then the file is closed by the end of the process.
    await Promise.race([end(), new Promise((done) => setTimeout(done, patienceMs).unref())]);
  }
}
