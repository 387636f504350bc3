// Ports as numbers beside the addresses that hold them, as Envoy's attributes have both.

import { findIp, ipSpan, portIn, portOfAddress } from '../../mesh/address.ts';
import type { Batch } from '../../pipeline/batch.ts';
import { ABSENT, type Column, TEXT } from '../../pipeline/column.ts';

const pairs = [
  ['source.address', 'source.port'],
  ['destination.address', 'destination.port'],
] as const;

/** Fills in the ports that records do not say by themselves. An address without a port has none. */
export function addPorts(batch: Batch): void {
  for (const [addressName, portName] of pairs) {
    const addresses = batch.column(addressName);
    if (addresses !== undefined) fillPorts(batch, addresses, portName);
  }
}

function fillPorts(batch: Batch, addresses: Column, name: string): void {
  const { selection, count } = batch;
  const existed = batch.column(name) !== undefined;
  let ports: Column | undefined;
  for (let i = 0; i < count; i++) {
    const row = selection[i]!;
    if (addresses.kind[row] === ABSENT) continue;
    const port = portAt(batch, addresses, row);
    if (port < 0) continue;
    ports ??= batch.ownColumn(name);
    if (!existed || ports.kind[row] === ABSENT) ports.setInt64(row, port, 0);
  }
}

/** -1: none. */
function portAt(batch: Batch, addresses: Column, row: number): number {
  if (addresses.kind[row] !== TEXT) return portOfAddress(batch.text(addresses, row) ?? '');
  const start = addresses.a[row]!;
  const end = addresses.b[row]!;
  return findIp(batch.bytes, start, end) && ipSpan.end < end ? portIn(batch.bytes, start, end) : -1;
}
