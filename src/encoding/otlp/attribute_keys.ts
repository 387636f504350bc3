// The keys that attributes have had so far, and which key came after which.

import { isUtf8 } from 'node:buffer';
import type { FieldType } from '../../access_log/fields.ts';
import type { Column } from '../../pipeline/column.ts';
import { noPattern, type Pattern, Patterns } from '../json_lines/words.ts';
import { isOwnName } from './own_fields.ts';

/** What a key means: the name of its field and how that is kept. */
export type KeyMeaning = { readonly name: string; readonly type: FieldType };

/** What text becomes besides text. */
export type Conversion = 'none' | 'number' | 'flags' | 'boolean';

/** One key, and what is known of it. */
export type Slot = {
  readonly key: string;
  readonly name: string;
  readonly conversion: Conversion;
  /** Another key means the same field: who comes second in a row gets a column of the key's own name. */
  shared: boolean;
  /** How a KeyValue of this key begins: tag, length, key, and the tag of the value. */
  readonly pattern: Pattern;
  /** The column of the batch that is being read; made when a row first has a value. */
  column: Column | undefined;
  /** There is a column, and text goes into it as it is: what the fast path asks. */
  plain: boolean;
  /** An attribute of this key comes out of a batch as it went in, if its value does. */
  passes: boolean;
  /** The last record that had the key, as passable.ts counts them. */
  seen: number;
  /** A key that came after this one; keys that only some records have stand between others. */
  next: Slot;
};

const keysMax = 2048;
/** Longer keys are looked up each time. */
const patternMax = 120;

/** All keys, each with its slot. */
export class AttributeKeys {
  readonly patterns = new Patterns();
  /** Stands before the first key of a record. */
  readonly root = newSlot('', '', 'none', noPattern);
  readonly #meaning: (key: string) => KeyMeaning | undefined;
  readonly #slots = new Map<string, Slot>();
  readonly #byName = new Map<string, Slot>();

  constructor(meaning: (key: string) => KeyMeaning | undefined) {
    this.#meaning = meaning;
  }

  /** Forgets all keys when there are so many that they are no keys but data. Not while a batch is being read. */
  prune(): void {
    if (this.#slots.size < keysMax) return;
    this.patterns.clear();
    this.#slots.clear();
    this.#byName.clear();
    this.root.next = this.root;
  }

  /** The slot of a key as it is spelled, Latin-1. */
  slot(spelling: string): Slot {
    const known = this.#slots.get(spelling);
    if (known !== undefined) return known;
    const key = Buffer.from(spelling, 'latin1').toString();
    const meaning = this.#meaning(key);
    const conversion = conversionOf(meaning?.type);
    const name = meaning?.name ?? key;
    // What is not kept must not be expected either.
    if (spelling.length > patternMax || this.#slots.size >= keysMax) {
      return newSlot(key, name, conversion, noPattern);
    }
    const length = String.fromCharCode(spelling.length);
    const pattern = this.patterns.add(`\n${length}${spelling}\x12`);
    const slot = newSlot(key, name, conversion, pattern);
    slot.passes = name === key && !isOwnName(name) && isUtf8(Buffer.from(spelling, 'latin1'));
    const same = this.#byName.get(name);
    if (same !== undefined) {
      same.shared = true;
      same.plain = false;
      same.passes = false;
      slot.shared = true;
      slot.passes = false;
    }
    this.#slots.set(spelling, slot);
    this.#byName.set(name, slot);
    return slot;
  }
}

/** Says that `slot` came after `last`: what was expected then comes after `slot`, unless that is known better. */
export function follow(last: Slot, slot: Slot): void {
  if (slot === last) return;
  if (slot.next === slot) slot.next = last.next;
  last.next = slot;
}

function newSlot(key: string, name: string, conversion: Conversion, pattern: Pattern): Slot {
  const slot: Omit<Slot, 'next'> = {
    key,
    name,
    conversion,
    shared: false,
    pattern,
    column: undefined,
    plain: false,
    passes: false,
    seen: 0,
  };
  // A slot that nothing has followed yet expects itself.
  const linked = slot as Slot;
  linked.next = linked;
  return linked;
}

function conversionOf(type: FieldType | undefined): Conversion {
  switch (type) {
    case 'int':
    case 'double':
    case 'bytes':
    case 'duration':
      return 'number';
    case 'flags':
      return 'flags';
    case 'bool':
      return 'boolean';
    default:
      return 'none';
  }
}
