// What a process did to its files, in the order in which it did it.

/** `op` of begin and end are the same; between them the operation may have happened or not. */
export type FileEvent =
  /** A file that was there before. */
  | { readonly kind: 'base'; readonly file: number; readonly path: string; readonly data: Buffer }
  /** A new file under a name. */
  | { readonly kind: 'create'; readonly op: number; readonly file: number; readonly path: string }
  | {
      readonly kind: 'write';
      readonly op: number;
      readonly file: number;
      readonly offset: number;
      readonly data: Buffer;
    }
  | { readonly kind: 'truncate'; readonly op: number; readonly file: number; readonly size: number }
  | { readonly kind: 'unlink'; readonly op: number; readonly path: string }
  | { readonly kind: 'rename'; readonly op: number; readonly from: string; readonly to: string }
  /** Forces a file's data, or the names of a folder, to disk. */
  | { readonly kind: 'sync'; readonly op: number; readonly file: number }
  | { readonly kind: 'sync_folder'; readonly op: number; readonly path: string }
  | { readonly kind: 'end'; readonly op: number }
  /** What the program under test was told: `what` happened to record `id`. */
  | { readonly kind: 'mark'; readonly what: string; readonly id: number };

/** What the recorder gives to the program that it records. */
export type Recording = {
  readonly events: FileEvent[];
  mark(what: string, id: number): void;
};

const key = Symbol.for('meshlog.test.recording');

export function publishRecording(recording: Recording): void {
  Object.assign(globalThis, { [key]: recording });
}

export function theRecording(): Recording {
  const recording = (globalThis as unknown as Record<symbol, Recording | undefined>)[key];
  if (recording === undefined) throw new Error('nobody records: start node with --import recorder');
  return recording;
}
