// Any LogRecordExporter of the OpenTelemetry SDK for JavaScript as an exporter.

import { createRequire } from 'node:module';
import { isAbsolute, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { SeverityNumber } from '@opentelemetry/api';
import type { ExportResult } from '@opentelemetry/core';
import type { Resource } from '@opentelemetry/resources';
import type { LogRecordExporter, ReadableLogRecord } from '@opentelemetry/sdk-logs';
import { z } from 'zod';
import { aborted, grpcFailure, httpFailure } from '../encoding/otlp/failure.ts';
import { ownNames } from '../encoding/otlp/own_fields.ts';
import { apart } from '../encoding/otlp/scope.ts';
import type { Batch } from '../pipeline/batch.ts';
import { textOf } from '../pipeline/cell_values.ts';
import { type Context, type Exporter, exporter } from '../pipeline/component.ts';
import { ExportError, errorChain } from '../pipeline/errors.ts';
import type { AnyValue, Attributes, LogRecord } from '../pipeline/record.ts';
import { version } from '../telemetry/version.ts';

const config = z.strictObject({
  module: z
    .string()
    .min(1)
    .describe(
      'The npm package, or a file beginning with ./ or /. It is looked for from the folder of the configuration file, then among our own.',
    ),
  export: z.string().min(1).describe('The name under which the module exports the class.'),
  options: z
    .record(z.string(), z.unknown())
    .default({})
    .describe('What the constructor is given, as one object.'),
});

type SdkSettings = z.output<typeof config>;

export const sdk = exporter({
  name: 'sdk',
  summary: 'Sends records through any log record exporter of the OpenTelemetry SDK for JavaScript.',
  config,
  example: `sdk:
  module: '@opentelemetry/sdk-logs'
  export: ConsoleLogRecordExporter`,
  notes: `The module runs inside this process, with all its rights. Each record becomes an object, so this costs several times
what the otlp exporter does. Of what such an exporter drops by itself nothing is seen here. Integers beyond 2^53 are
handed over as text.`,
  create: (settings, context) => new SdkExporter(settings, context),
});

/** The SDK's scopes have no attributes. */
type Origin = Pick<ReadableLogRecord, 'resource' | 'instrumentationScope'>;

class SdkExporter implements Exporter {
  readonly #settings: SdkSettings;
  readonly #context: Context;
  readonly #scope = { name: 'meshlog', version };
  /** One object per resource: SDK exporters group by identity. */
  readonly #origins = new WeakMap<Attributes, Origin>();
  #exporter: LogRecordExporter | undefined;
  #resourceOf: (facts: Attributes) => Resource = () => {
    throw new Error('the exporter was not started');
  };

  constructor(settings: SdkSettings, context: Context) {
    this.#settings = settings;
    this.#context = context;
  }

  async start(): Promise<void> {
    const { module, export: name, options } = this.#settings;
    const loaded = await load(module, this.#context.baseDirectory);
    const made = loaded[name];
    if (typeof made !== 'function') {
      const names = Object.keys(loaded).filter((key) => typeof loaded[key] === 'function');
      throw new Error(`"${module}" exports no "${name}", but ${names.slice(0, 10).join(', ')}`);
    }
    try {
      this.#exporter = Reflect.construct(made, [options]) as LogRecordExporter;
    } catch (cause) {
      throw new Error(`cannot make a ${name}`, { cause });
    }
    if (typeof this.#exporter.export !== 'function') {
      throw new Error(`"${name}" is no log record exporter: it cannot export`);
    }
    const { resourceFromAttributes } = await import('@opentelemetry/resources');
    this.#resourceOf = (facts) => resourceFromAttributes(plainMap(facts) as never);
  }

  export(batch: Batch, signal: AbortSignal): Promise<void> {
    const records: ReadableLogRecord[] = [];
    for (let i = 0; i < batch.count; i++) {
      records.push(this.#readable(batch.record(batch.selection[i] ?? 0)));
    }
    return new Promise((resolve, reject) => {
      const fail = (cause: ExportError): void => {
        signal.removeEventListener('abort', stop);
        const { retryable, retryAfterMs, tooLarge } = cause;
        const message = `cannot export ${records.length} records with ${this.#settings.export}`;
        reject(new ExportError(message, { retryable, retryAfterMs, tooLarge, cause }));
      };
      const stop = (): void => fail(aborted(signal));
      if (signal.aborted) return stop();
      signal.addEventListener('abort', stop, { once: true });
      try {
        this.#exporter?.export(records, ({ code, error }: ExportResult) => {
          if (code !== 0) return fail(failureOf(error));
          signal.removeEventListener('abort', stop);
          resolve();
        });
      } catch (cause) {
        // What throws on these records will do so again.
        fail(new ExportError(errorChain(cause), { retryable: false }));
      }
    });
  }

  async stop(): Promise<void> {
    await this.#exporter?.shutdown();
  }

  status(): string {
    return `${this.#settings.export} of ${this.#settings.module}`;
  }

  #readable(record: LogRecord): ReadableLogRecord {
    const { severityNumber, traceId, spanId } = record;
    const {
      [ownNames.severityText]: severityText = record.severityText,
      [ownNames.traceFlags]: traceFlags,
      [ownNames.droppedAttributes]: dropped,
      [ownNames.eventName]: eventName,
      ...attributes
    } = record.attributes;
    return {
      hrTime: hrTime(record.time ?? record.observedTime),
      hrTimeObserved: hrTime(record.observedTime),
      ...(severityNumber === undefined ? {} : { severityNumber: severityNumber as SeverityNumber }),
      ...(severityText === undefined ? {} : { severityText: textOf(severityText) }),
      ...(eventName === undefined ? {} : { eventName: textOf(eventName) }),
      ...(record.body === undefined ? {} : { body: plain(record.body) as never }),
      ...(traceId === undefined
        ? {}
        : {
            spanContext: {
              traceId,
              spanId: spanId ?? '0'.repeat(16),
              traceFlags: Number(traceFlags ?? 0),
            },
          }),
      attributes: plainMap(attributes) as never,
      droppedAttributesCount: Number(dropped ?? 0) || 0,
      ...this.#origin(record.resource),
    };
  }

  #origin(facts: Attributes): Origin {
    let origin = this.#origins.get(facts);
    if (origin === undefined) {
      const { resource, scope = this.#scope } = apart(facts);
      origin = { resource: this.#resourceOf(resource), instrumentationScope: scope };
      this.#origins.set(facts, origin);
    }
    return origin;
  }
}

/** The module as the configuration's folder knows it, else as we do. */
async function load(name: string, baseDirectory: string): Promise<Record<string, unknown>> {
  const isFile = name.startsWith('.') || isAbsolute(name);
  let specifier = name;
  if (isFile) specifier = pathToFileURL(isAbsolute(name) ? name : join(baseDirectory, name)).href;
  else {
    try {
      const found = createRequire(join(baseDirectory, 'meshlog.yaml')).resolve(name);
      specifier = pathToFileURL(found).href;
    } catch {
      // Not installed there: our own packages are next.
    }
  }
  try {
    return (await import(specifier)) as Record<string, unknown>;
  } catch (cause) {
    throw new Error(`cannot load "${name}"`, { cause });
  }
}

/** Failures of OTLP exporters carry a gRPC code or an HTTP status; of any other another try may help. */
function failureOf(error: Error | undefined): ExportError {
  const code = (error as { code?: unknown } | undefined)?.code;
  const text = error === undefined ? 'the exporter gave no reason' : errorChain(error);
  if (typeof code === 'number' && code > 0 && code <= 16)
    return grpcFailure({ code, details: text });
  if (typeof code === 'number' && code >= 400 && code < 600) {
    return httpFailure({ status: code, retryAfter: undefined, text, nowMs: 0 });
  }
  return new ExportError(text, { retryable: true });
}

function hrTime(nanoseconds: bigint): [number, number] {
  return [Number(nanoseconds / 1_000_000_000n), Number(nanoseconds % 1_000_000_000n)];
}

/** The SDK knows no bigint. */
function plain(value: AnyValue): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map((item) => plain(item as AnyValue));
  return plainMap(value as Attributes);
}

const plainMap = (map: Attributes): Record<string, unknown> =>
  Object.fromEntries(Object.entries(map).map(([key, value]) => [key, plain(value)]));
