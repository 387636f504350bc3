// What is known about each IP address that passes by: its owner, and the role in which it was seen. Looked up only for
// rows whose own fields do not settle the matter.

import type { Batch } from '../pipeline/batch.ts';
import { viewOf } from '../pipeline/buffers.ts';
import { ABSENT, type Column, TEXT } from '../pipeline/column.ts';
import { SpanMemo } from '../pipeline/span_memo.ts';
import { findIp, ipOf, ipSpan, isLocalIp, portIn, portOfAddress } from './address.ts';
import type { CallFacts, PartyFacts } from './call_facts.ts';
import type { Inventory, Owners } from './inventory/inventory.ts';

export type ProxyKind = 'sidecar' | 'gateway';

type AddressFacts = {
  readonly ip: string;
  /** As which kind of proxy the address was seen at work. */
  role: ProxyKind | undefined;
  /** Whose proxy it was seen to be, from the facts of that proxy's own stream, and when last. */
  self: PartyFacts | undefined;
  seenMs: number;
  owners: Owners | undefined;
  /** Who it is whatever the port. */
  owner: PartyFacts | undefined;
  /** The inventory's generation that the owners are from. */
  generation: number;
};

/** The IP in one cell, looked at when first asked for. One object per column, reused for every row. */
export class AddressCell {
  /** Its span in the batch, or its text when the cell is no span. */
  start = 0;
  end = 0;
  text: string | undefined = undefined;
  readonly #at: { readonly row: number };
  #batch: Batch | undefined = undefined;
  #column: Column | undefined = undefined;
  #seenRow = -1;
  #isThere = false;

  /** `at` says which row it is, and moves on from row to row. */
  constructor(at: { readonly row: number }) {
    this.#at = at;
  }

  begin(batch: Batch, column: Column | undefined): void {
    this.#batch = batch;
    this.#column = column;
    this.#seenRow = -1;
  }

  /** Whether the row has an IP there. To be asked before anything else. */
  get isThere(): boolean {
    const { row } = this.#at;
    if (this.#seenRow !== row) this.#see(row);
    return this.#isThere;
  }

  /** The port next to the IP, -1 when there is none. */
  get port(): number {
    const { row } = this.#at;
    const column = this.#column;
    const batch = this.#batch;
    if (column === undefined || batch === undefined || column.kind[row] === ABSENT) return -1;
    if (column.kind[row] !== TEXT) return portOfAddress(batch.text(column, row) ?? '');
    // An IP that ends where the text ends may be IPv6, whose last group is no port.
    if (!this.isThere || this.end >= column.b[row]!) return -1;
    return portIn(batch.bytes, column.a[row]!, column.b[row]!);
  }

  #see(row: number): void {
    this.#seenRow = row;
    this.#isThere = false;
    const column = this.#column;
    if (column === undefined) return;
    const kind = column.kind[row]!;
    if (kind === TEXT) {
      if (!findIp(this.#batch!.bytes, column.a[row]!, column.b[row]!)) return;
      this.#isThere = true;
      this.start = ipSpan.start;
      this.end = ipSpan.end;
      this.text = undefined;
    } else if (kind !== ABSENT) {
      this.text = ipOf(this.#batch!.text(column, row) ?? '');
      this.#isThere = this.text !== undefined;
    }
  }
}

/** How long what was seen of an address counts. */
const seenMsMax = 600_000;

export class AddressBook {
  readonly #parties: CallFacts;
  readonly #inventory: Inventory;
  readonly #facts = new SpanMemo<AddressFacts>(
    (bytes, start, end) => ({
      ip: bytes.utf8Slice(start, end),
      role: undefined,
      self: undefined,
      seenMs: 0,
      owners: undefined,
      owner: undefined,
      generation: -1,
    }),
    16_384,
  );
  #selves = 0;
  #nowMs = 0;
  #bytes: Buffer = Buffer.alloc(0);
  #view = viewOf(this.#bytes);

  constructor(parties: CallFacts, inventory: Inventory) {
    this.#parties = parties;
    this.#inventory = inventory;
  }

  begin(batch: Batch, view: DataView): void {
    this.#nowMs = batch.observedMs;
    this.#bytes = batch.bytes;
    this.#view = view;
  }

  /** Whether two cells hold the same address. */
  same(left: AddressCell, right: AddressCell): boolean {
    if (!left.isThere || !right.isThere) return false;
    if (left.text !== undefined || right.text !== undefined)
      return this.ip(left) === this.ip(right);
    const length = left.end - left.start;
    if (right.end - right.start !== length) return false;
    const bytes = this.#bytes;
    for (let i = length - 1; i >= 0; i--) {
      if (bytes[left.start + i] !== bytes[right.start + i]) return false;
    }
    return true;
  }

  /** Loopback: says nothing about who it is, only that it is in the same pod. */
  isLocal(cell: AddressCell): boolean {
    if (!cell.isThere) return false;
    if (cell.text !== undefined) return isLocalIp(cell.text);
    // Only 127.0.0.0/8, ::1 and ::6 begin so: the text need not be made for others.
    const bytes = this.#bytes;
    const first = bytes[cell.start];
    const mayBe = first === 58 || (first === 49 && bytes[cell.start + 2] === 55);
    return mayBe && isLocalIp(this.ip(cell));
  }

  ip(cell: AddressCell): string {
    return cell.text ?? this.#bytes.latin1Slice(cell.start, cell.end);
  }

  /** In which role the address was seen. */
  role(cell: AddressCell): ProxyKind | undefined {
    return cell.isThere ? this.#factsOf(cell).role : undefined;
  }

  /** Notes that the address is the own one of a proxy, and, when its stream says so, whose. */
  note(cell: AddressCell, role: ProxyKind, self: PartyFacts | undefined): void {
    if (!cell.isThere || this.isLocal(cell)) return;
    const facts = this.#factsOf(cell);
    facts.role = role;
    facts.seenMs = this.#nowMs;
    if (self === undefined) return;
    if (facts.self === undefined) this.#selves++;
    facts.self = self;
  }

  /** Whether more than one proxy's address has been seen: only then one can say who another is. */
  get hasSelves(): boolean {
    return this.#selves > 1;
  }

  /** Whose proxy has been seen at the address, lately enough that nobody else is likely to have it now. */
  seen(cell: AddressCell): PartyFacts | undefined {
    if (!this.hasSelves || !cell.isThere || this.isLocal(cell)) return undefined;
    const facts = this.#factsOf(cell);
    return this.#nowMs - facts.seenMs <= seenMsMax ? facts.self : undefined;
  }

  /** Whoever calls from an address: its port says nothing. Asked of the inventory once per address and change. */
  owner(cell: AddressCell): PartyFacts | undefined {
    return this.#owned(cell)?.owner;
  }

  /** Whoever listens at an address, told apart by the port where several share it. */
  listener(cell: AddressCell): PartyFacts | undefined {
    const facts = this.#owned(cell);
    const party = facts?.owners?.byPort?.get(cell.port);
    return party === undefined ? facts?.owner : this.#parties.owner(party);
  }

  #owned(cell: AddressCell): AddressFacts | undefined {
    if (!this.#inventory.isUsed || !cell.isThere || this.isLocal(cell)) return undefined;
    const facts = this.#factsOf(cell);
    if (facts.generation !== this.#inventory.generation) {
      facts.generation = this.#inventory.generation;
      facts.owners = this.#inventory.byIp(facts.ip);
      const party = facts.owners?.any;
      facts.owner = party === undefined ? undefined : this.#parties.owner(party);
    }
    return facts;
  }

  clear(): void {
    this.#facts.clear();
    this.#selves = 0;
  }

  #factsOf(cell: AddressCell): AddressFacts {
    if (cell.text !== undefined) return this.#facts.getText(cell.text);
    return this.#facts.get(this.#bytes, this.#view, cell.start, cell.end);
  }
}
