// What can be said about reading a format back before any line has come: what cannot be done, what is doubtful, and what
// is lost.

import { FormatError } from '../format/format_error.ts';
import { tableFor } from './alphabets.ts';
import { byWidth, type Program, type Slot } from './program.ts';

export type Finding = {
  /** error: it cannot be read back. warning: lines may be ambiguous or kept as text. note: what is lost. */
  readonly severity: 'error' | 'warning' | 'note';
  readonly message: string;
};

/** Everything there is to say, errors first. */
export function findingsOf(program: Program): Finding[] {
  const { slots, head } = program;
  const texts = [head, ...slots.map(({ literal }) => literal)];
  const found: Finding[] = [];
  if (texts.some((text) => text.includes(10))) {
    const message =
      'the format has a newline in it: a record would be several lines, which are read one by one';
    found.push({ severity: 'error', message });
  }
  for (let k = 0; k + 1 < slots.length; k++) found.push(...between(slots, k));
  for (const slot of slots) {
    const { store, loses } = slot.target;
    if (loses === undefined) continue;
    const untimely = store === 'text' && slot.command.args.time !== undefined;
    found.push({
      severity: untimely ? 'warning' : 'note',
      message: `${name(slot)} loses ${loses}`,
    });
  }
  return found;
}

/** Throws FormatError for a program that cannot be run. */
export function refuseErrors(program: Program): Program {
  const error = findingsOf(program).find(({ severity }) => severity === 'error');
  if (error !== undefined) throw new FormatError(error.message);
  return program;
}

const name = (slot: Slot): string => `%${slot.command.source}%`;

function between(slots: readonly Slot[], k: number): Finding[] {
  const slot = slots[k]!;
  const next = slots[k + 1]!;
  if (slot.literal.length === 0) {
    if (slot.scan === byWidth || areDisjoint(slot, next)) return [];
    const message = `${name(slot)} and ${name(next)} stand next to each other: where one ends and the other begins cannot be seen`;
    return [{ severity: 'error', message }];
  }
  const other = rival(slots, k);
  if (other === undefined) return [];
  const text = JSON.stringify(slot.literal.toString());
  const message = `${name(slot)} and ${name(other)} can both hold ${text}, which stands between them: lines whose values do are marked ambiguous`;
  return [{ severity: 'warning', message }];
}

/** Whether no byte can belong to both values. */
function areDisjoint(slot: Slot, next: Slot): boolean {
  const a = tableFor(slot.target.alphabet);
  const b = tableFor(next.target.alphabet);
  // A missing value is a dash.
  return a.every((accepted, byte) => accepted === 0 || b[byte] === 0) && a[45] === 0;
}

/** Long texts between values do not turn up in them by accident. */
const weakBytesMax = 4;

/**
 * The next value that is as free as slot `k`, when only values that are no anchors are between them, and neither has a
 * shape by which it would be known again.
 */
function rival(slots: readonly Slot[], k: number): Slot | undefined {
  const slot = slots[k]!;
  if (isAnchor(slot) || slot.literal.length > weakBytesMax) return undefined;
  if (!couldHold(slot, slot.literal)) return undefined;
  const next = slots[k + 1]!;
  return !isAnchor(next) && couldHold(next, slot.literal) ? next : undefined;
}

const isAnchor = (slot: Slot): boolean =>
  slot.certain || slot.target.shape !== 'none' || slot.target.alphabet === 'path';

const couldHold = (slot: Slot, text: Buffer): boolean =>
  text.every((byte) => slot.wide[byte] === 1);
