// One row of a batch as a plain OpenTelemetry record.

import type { Batch } from './batch.ts';
import { type AnyValue, type LogRecord, severityText } from './record.ts';
import { wordsAsNanoseconds } from './time.ts';

export function recordOf(batch: Batch, row: number): LogRecord {
  const attributes: Record<string, AnyValue> = { ...batch.attributes };
  for (const column of batch.columns) {
    const value = batch.value(column, row);
    if (value !== undefined) setOwn(attributes, column.name, value);
  }
  const time = batch.timeWords(row) ? wordsAsNanoseconds() : undefined;
  batch.observedWords(row);
  const severity = batch.severity === undefined ? Number.NaN : batch.number(batch.severity, row);
  return {
    time,
    observedTime: wordsAsNanoseconds(),
    severityNumber: Number.isNaN(severity) ? undefined : severity,
    severityText: Number.isNaN(severity) ? undefined : severityText(severity),
    body: batch.bodyValue(row),
    attributes,
    resource: batch.resources[batch.resourceOf?.[row] ?? 0] ?? {},
    traceId: batch.text(batch.traceId, row),
    spanId: batch.text(batch.spanId, row),
  };
}

/** Fields have names from the network: `__proto__` is one like any other. */
function setOwn(map: Record<string, AnyValue>, key: string, value: AnyValue): void {
  if (key !== '__proto__') map[key] = value;
  else
    Object.defineProperty(map, key, {
      value,
      enumerable: true,
      writable: true,
      configurable: true,
    });
}
