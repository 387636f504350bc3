// The catalogue: one line per component. Only this file imports components.

import type { z } from 'zod';
import { file as fileExporter } from './exporters/file/file.ts';
import { nop as nopExporter } from './exporters/nop.ts';
import { otlp as otlpExporter } from './exporters/otlp/otlp.ts';
import { sdk } from './exporters/sdk.ts';
import { tcp as tcpExporter } from './exporters/tcp.ts';
import type { ExporterType, ProcessorType, ReceiverType } from './pipeline/component.ts';
import { exporterSettings } from './pipeline/queue.ts';
import { attributes } from './processors/attributes/attributes.ts';
import { dedup } from './processors/dedup/dedup.ts';
import { enrich } from './processors/enrich/enrich.ts';
import { filter } from './processors/filter.ts';
import { nop as nopProcessor } from './processors/nop.ts';
import { parse } from './processors/parse/parse.ts';
import { redact } from './processors/redact/redact.ts';
import { sample } from './processors/sample/sample.ts';
import { semconv } from './processors/semconv.ts';
import { demo } from './receivers/demo/demo.ts';
import { envoy_als } from './receivers/envoy_als/envoy_als.ts';
import { file } from './receivers/file/file.ts';
import { nop as nopReceiver } from './receivers/nop.ts';
import { otlp } from './receivers/otlp/otlp.ts';
import { stdin } from './receivers/stdin.ts';
import { tcp } from './receivers/tcp/tcp.ts';

export type Catalogue = {
  readonly receivers: Readonly<Record<string, ReceiverType>>;
  readonly processors: Readonly<Record<string, ProcessorType>>;
  readonly exporters: Readonly<Record<string, ExporterType>>;
};

/**
 * An exporter whose schema also has what the engine offers to all of them: queue, retry_on_failure, timeout. What it words
 * itself stays.
 */
function queued(type: ExporterType): ExporterType {
  const own = type.config as z.ZodObject;
  const added = Object.entries(exporterSettings).filter(
    ([name]) => !Object.hasOwn(own.shape, name),
  );
  return { ...type, config: own.safeExtend(Object.fromEntries(added)) };
}

const byName = <T extends { readonly name: string }>(types: readonly T[]): Record<string, T> =>
  Object.fromEntries(types.map((type) => [type.name, type]));

// A component's schema gives its factory the type of its configuration; seen from here all factories take what their
// own schema has parsed, which the type system cannot say for a mixed list.
export const catalogue: Catalogue = {
  receivers: byName([
    envoy_als,
    otlp,
    file,
    tcp,
    stdin,
    demo,
    nopReceiver,
  ] as unknown as ReceiverType[]),
  processors: byName([
    parse,
    filter,
    sample,
    enrich,
    attributes,
    redact,
    semconv,
    dedup,
    nopProcessor,
  ] as unknown as ProcessorType[]),
  exporters: byName(
    ([otlpExporter, fileExporter, tcpExporter, sdk, nopExporter] as unknown as ExporterType[]).map(
      queued,
    ),
  ),
};
