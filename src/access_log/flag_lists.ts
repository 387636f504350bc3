// Lists of response flags as dictionary codes. One dictionary for the process, so that rows read from JSON, text and ALS
// can stand in one column. Flags are few, lists of them repeat, and a hostile sender cannot make it grow without end.

import { Dictionary } from '../pipeline/column.ts';
import { flagsOfMask } from './flags.ts';

/** The dictionary of every `response.flags` column: values are lists of short names. */
export const flagLists = new Dictionary();

const codesMax = 4096;
const textBytesMax = 128;
const byText = new Map<string, number>();
const byMask = new Map<number, number>();

/** The short names in what %RESPONSE_FLAGS% prints (`UF,URX`); empty for `-` and for nothing. */
export function splitFlags(text: string): string[] {
  if (text === '-') return [];
  return text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
}

/**
 * The code of the flags printed in bytes[start, end), -1 when there are none (`-`, nothing), or -2 when they are too
 * long or too many to be kept: then the caller holds the list in the batch (`Batch.setValue` with `splitFlags`).
 */
export function codeOfFlags(bytes: Buffer, start: number, end: number): number {
  if (end - start > textBytesMax) return -2;
  const text = bytes.latin1Slice(start, end);
  let code = byText.get(text);
  if (code !== undefined) return code;
  if (byText.size >= codesMax) return -2;
  const names = splitFlags(bytes.utf8Slice(start, end));
  code = names.length === 0 ? -1 : flagLists.code(names);
  byText.set(text, code);
  return code;
}

/** The code of the flags of a bit mask (CEL's bits), or -1 when it is 0. */
export function codeOfFlagMask(mask: number): number {
  if (mask === 0) return -1;
  let code = byMask.get(mask);
  if (code === undefined) {
    code = byMask.size < codesMax ? flagLists.code(flagsOfMask(mask)) : -2;
    if (code >= 0) byMask.set(mask, code);
  }
  return code;
}
