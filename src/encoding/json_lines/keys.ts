// The keys that JSON lines have had so far, and which key followed which: a proxy writes its keys in one order, so that a
// key is mostly known before it is read, and reading it is comparing a few words.

import type { FieldType } from '../../access_log/fields.ts';
import type { Column } from '../../pipeline/column.ts';
import { noPattern, type Pattern, Patterns } from './words.ts';

/** How the values of a key become cells: as they are, ... */
export const KEEP = 0;
/** ... digits in a string as a number, ... */
export const COUNT = 1;
/** ... `UF,URX` as a list, ... */
export const FLAGS = 2;
/** ... "true" and "false" in a string as booleans. */
export const SWITCH = 3;

/** What a key means: the name of its field and how that is kept. */
export type KeyMeaning = { readonly name: string; readonly type: FieldType };

/** What the values of one key become. One object per distinct key, however it is spelled. */
export type Slot = {
  readonly key: string;
  readonly name: string;
  readonly conversion: number;
  /** A key that tells what kind of record a line is. */
  readonly tells: boolean;
  /** The column of the batch that is being read; made when a row first has a value. */
  column: Column | undefined;
  /** There is a column, and text goes into it as it is: what the fast path asks. */
  plain: boolean;
  /** Another key means the same field: who comes second in a row gets a column of the key's own name. */
  shared: boolean;
  own: Column | undefined;
  /** The row in which a shared key was last written to `column`. */
  row: number;
};

/** One spelling of a key, as it stands between the quotes. */
export type KeyNode = {
  readonly slot: Slot;
  readonly spelling: string;
  /** `"key":` */
  readonly key: Pattern;
  /** `","key":`: what comes between the end of a string and the next value. */
  readonly link: Pattern;
  /** The key that came after this one the last time. */
  next: KeyNode;
  /** Other keys that came after it, latest first. */
  readonly others: KeyNode[];
};

const keysMax = 2048;
const othersMax = 6;
/** Longer keys are looked up each time. */
const spellingMax = 128;

/** Keys as a graph of what follows what. Rows that leave keys out or come from other formats find their own ways. */
export class KeyGraph {
  readonly patterns = new Patterns();
  readonly #meaning: (key: string) => KeyMeaning | undefined;
  readonly #telling: ReadonlySet<string>;
  readonly #nodes = new Map<string, KeyNode>();
  readonly #slots = new Map<string, Slot>();
  readonly #byName = new Map<string, Slot>();
  readonly #nowhere: KeyNode;
  /** Stands before the first key of a line. */
  root: KeyNode;
  /** The row that is being read. */
  row = 0;

  constructor(meaning: (key: string) => KeyMeaning | undefined, telling: ReadonlySet<string>) {
    this.#meaning = meaning;
    this.#telling = telling;
    const nowhere = unlinked(newSlot('', '', KEEP, false)) as KeyNode;
    nowhere.next = nowhere;
    this.#nowhere = nowhere;
    this.root = this.#unknown(nowhere.slot);
  }

  /** Forgets all keys when there are so many that they are no keys but data. Not while a batch is being read. */
  prune(): void {
    if (this.#slots.size < keysMax) return;
    this.patterns.clear();
    this.#nodes.clear();
    this.#slots.clear();
    this.#byName.clear();
    this.root = this.#unknown(this.#nowhere.slot);
  }

  /** The node of a key as it is spelled, Latin-1, which came after `before` where another one was expected. */
  after(before: KeyNode, spelling: string): KeyNode {
    const node = this.#nodes.get(spelling) ?? this.#learn(spelling);
    if (node.key.length === 0) return node;
    const { next, others } = before;
    const known = others.indexOf(node);
    if (known >= 0) others.splice(known, 1);
    if (next !== this.#nowhere && next !== node) others.unshift(next);
    if (others.length > othersMax) others.pop();
    before.next = node;
    return node;
  }

  /** Whether a key has stood in a line. */
  knows(key: string): boolean {
    return this.#slots.has(key);
  }

  #learn(spelling: string): KeyNode {
    const slot = this.#slot(keyOf(spelling));
    if (spelling.length > spellingMax || this.#nodes.size >= keysMax) return this.#unknown(slot);
    const key = this.patterns.add(`"${spelling}":`);
    const link = this.patterns.add(`","${spelling}":`);
    const node = { slot, spelling, key, link, next: this.#nowhere, others: [] };
    this.#nodes.set(spelling, node);
    return node;
  }

  /** A node that is never expected. */
  #unknown(slot: Slot): KeyNode {
    return { ...unlinked(slot), next: this.#nowhere };
  }

  #slot(key: string): Slot {
    const known = this.#slots.get(key);
    if (known !== undefined) return known;
    const meaning = this.#meaning(key);
    const name = meaning?.name ?? key;
    const slot = newSlot(key, name, conversionOf(meaning?.type), this.#telling.has(key));
    const same = this.#byName.get(slot.name);
    if (same !== undefined) {
      // Until now nobody but `same` can have written to its column in this row.
      if (!same.shared) same.row = this.row;
      same.shared = true;
      same.plain = false;
      slot.shared = true;
    }
    this.#slots.set(key, slot);
    this.#byName.set(slot.name, slot);
    return slot;
  }
}

const unlinked = (slot: Slot): Omit<KeyNode, 'next'> => {
  return { slot, spelling: '', key: noPattern, link: noPattern, others: [] };
};

const newSlot = (key: string, name: string, conversion: number, tells: boolean): Slot => {
  return {
    key,
    name,
    conversion,
    tells,
    column: undefined,
    plain: false,
    shared: false,
    own: undefined,
    row: -1,
  };
};

function conversionOf(type: FieldType | undefined): number {
  switch (type) {
    case 'int':
    case 'double':
    case 'bytes':
    case 'duration':
      return COUNT;
    case 'flags':
      return FLAGS;
    case 'bool':
      return SWITCH;
    default:
      return KEEP;
  }
}

/** The key that a spelling stands for. The scanner has checked the escapes. */
function keyOf(spelling: string): string {
  const text = Buffer.from(spelling, 'latin1').toString('utf8');
  return text.includes('\\') ? (JSON.parse(`"${text}"`) as string) : text;
}
