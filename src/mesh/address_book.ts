// What is known about each IP address that passes by: its owner, and the role in which it was seen.

import type { Batch } from '../pipeline/batch.ts';
import { ABSENT, type Column, TEXT } from '../pipeline/column.ts';
import { SpanMemo } from '../pipeline/span_memo.ts';
import { findIp, ipOf, ipSpan, isLocalIp } from './address.ts';
import type { Inventory } from './inventory/inventory.ts';
import type { Names } from './names.ts';
import { type PartyCodes, partyCodes } from './party.ts';

export type AddressFacts = {
  readonly ip: string;
  /** Loopback: says nothing about who it is, only that it is the same pod. */
  readonly isLocal: boolean;
  /** As which kind of proxy the address was seen at work. */
  role: 'sidecar' | 'gateway' | undefined;
  owner: PartyCodes | undefined;
  /** The inventory's generation that `owner` is from. */
  generation: number;
};

export class AddressBook {
  readonly #names: Names;
  readonly #inventory: Inventory;
  readonly #facts = new SpanMemo<AddressFacts>(
    (bytes, start, end) => this.#make(bytes.utf8Slice(start, end)),
    16_384,
  );

  constructor(names: Names, inventory: Inventory) {
    this.#names = names;
    this.#inventory = inventory;
  }

  /** The address in a cell; undefined when there is none or it is no IP. */
  at(batch: Batch, view: DataView, column: Column | undefined, row: number) {
    if (column === undefined) return undefined;
    const kind = column.kind[row]!;
    if (kind === TEXT) {
      if (!findIp(batch.bytes, column.a[row]!, column.b[row]!)) return undefined;
      return this.#facts.get(batch.bytes, view, ipSpan.start, ipSpan.end);
    }
    if (kind === ABSENT) return undefined;
    const ip = ipOf(batch.text(column, row) ?? '');
    return ip === undefined ? undefined : this.#facts.getText(ip);
  }

  /** Who owns an address, asked of the inventory once per address and change. */
  owner(facts: AddressFacts | undefined): PartyCodes | undefined {
    if (facts === undefined || facts.isLocal) return undefined;
    if (facts.generation !== this.#inventory.generation) {
      facts.generation = this.#inventory.generation;
      const party = this.#inventory.byIp(facts.ip);
      facts.owner = party === undefined ? undefined : partyCodes(this.#names, party);
    }
    return facts.owner;
  }

  clear(): void {
    this.#facts.clear();
  }

  #make(ip: string): AddressFacts {
    return { ip, isLocal: isLocalIp(ip), role: undefined, owner: undefined, generation: -1 };
  }
}

export function sameIp(left: AddressFacts | undefined, right: AddressFacts | undefined): boolean {
  // Facts are interned while the book holds them; after it started over, equal texts tell.
  return left !== undefined && right !== undefined && (left === right || left.ip === right.ip);
}
