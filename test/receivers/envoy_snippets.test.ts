// What the documentation tells operators to write into Envoy's configuration, by Envoy's own protos.

import type protobuf from 'protobufjs';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { catalogue } from '../../src/components.ts';
import { load } from '../support/als.ts';

/** What the notes of a receiver show as a block, indented by four. */
function snippetOf(receiver: string): string {
  const notes = catalogue.receivers[receiver]?.notes ?? '';
  return [...notes.matchAll(/^ {4}(.*)$/gm)].map(([, line]) => line).join('\n');
}

const camel = (name: string): string => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());

/** Names in a value that its message does not have, and values that its fields cannot have. */
function unknownIn(type: protobuf.Type, value: Record<string, unknown>, at = ''): string[] {
  return Object.entries(value).flatMap(([name, inner]): string[] => {
    const path = `${at}${name}`;
    const field = type.fields[camel(name)];
    if (field === undefined) return [path];
    field.resolve();
    const { resolvedType } = field;
    if (resolvedType === null) return typeof inner === 'object' ? [`${path}: no text`] : [];
    if ('values' in resolvedType)
      return String(inner) in resolvedType.values ? [] : [`${path}: ${inner}`];
    const wellKnown: Record<string, RegExp> = {
      '.google.protobuf.Duration': /^\d+(\.\d+)?s$/,
      '.google.protobuf.UInt32Value': /^\d+$/,
    };
    const form = wellKnown[resolvedType.fullName];
    if (form !== undefined) return form.test(String(inner)) ? [] : [`${path}: ${inner}`];
    return unknownIn(resolvedType as protobuf.Type, inner as Record<string, unknown>, `${path}.`);
  });
}

describe('what the notes tell to write into Envoy exists there:', () => {
  for (const [receiver, file, logger] of [
    ['envoy_als', 'grpc/v3/als.proto', 'envoy.access_loggers.http_grpc'],
    ['otlp', 'open_telemetry/v3/logs_service.proto', 'envoy.access_loggers.open_telemetry'],
  ] as const) {
    test(receiver, () => {
      const { name, typed_config, ...rest } = parse(snippetOf(receiver)) as {
        name: string;
        typed_config: { '@type': string; common_config: Record<string, unknown> };
      };
      expect([name, rest]).toEqual([logger, {}]);
      const { '@type': url, ...config } = typed_config;
      const types = load(`envoy/extensions/access_loggers/${file}`);
      const type = types.lookupType(url.replace('type.googleapis.com/', ''));
      expect(unknownIn(type, config)).toEqual([]);
      expect(unknownIn(type, { ...config, nonsense: 1 })).toEqual(['nonsense']);
      const settings = ['buffer_size_bytes', 'buffer_flush_interval', 'grpc_stream_retry_policy'];
      expect(Object.keys(config.common_config)).toEqual(expect.arrayContaining(settings));
      // A full buffer is a message that the receiver takes.
      expect(Number(config.common_config['buffer_size_bytes'])).toBeLessThan(4 << 20);
    });
  }

  test('and names the counters of what proxies drop', () => {
    expect(catalogue.receivers['envoy_als']?.notes).toContain(
      'access_logs.grpc_access_log.logs_dropped',
    );
    expect(catalogue.receivers['otlp']?.notes).toContain(
      'access_logs.open_telemetry_access_log.logs_dropped',
    );
  });
});
