// Envoy's access log messages by a protobuf library and protos that are not ours.

import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import protobuf from 'protobufjs';

const root = dirname(fileURLToPath(import.meta.resolve('@grpc/grpc-js-xds/package.json')));
const folders = ['envoy-api', 'xds', 'googleapis', 'protoc-gen-validate'].map((name) =>
  join(root, 'deps', name),
);

/** The types of a proto file and of all that it imports. */
export function load(file: string): protobuf.Root {
  const types = new protobuf.Root();
  const seen = new Set<string>();
  const parse = (name: string): void => {
    if (seen.has(name)) return;
    seen.add(name);
    const common = protobuf.common.get(name);
    if (common !== null) {
      types.addJSON(common.nested as Parameters<protobuf.Root['addJSON']>[0]);
      return;
    }
    const text = folders
      .map((folder) => join(folder, name))
      .map((path) => {
        try {
          return readFileSync(path, 'utf8');
        } catch {
          return undefined;
        }
      })
      .find((found) => found !== undefined);
    // Descriptions of options are not needed to read messages.
    if (text === undefined) return;
    const { imports, weakImports } = protobuf.parse(text, types, { keepCase: false });
    for (const next of [...(imports ?? []), ...(weakImports ?? [])]) parse(next);
  };
  parse(file);
  return types;
}

const v3 = load('envoy/service/accesslog/v3/als.proto');

export const StreamAccessLogsMessage = v3.lookupType(
  'envoy.service.accesslog.v3.StreamAccessLogsMessage',
);
export const HTTPAccessLogEntry = v3.lookupType('envoy.data.accesslog.v3.HTTPAccessLogEntry');
export const TCPAccessLogEntry = v3.lookupType('envoy.data.accesslog.v3.TCPAccessLogEntry');
export const Struct = v3.lookupType('google.protobuf.Struct');

const wrappers = load('google/protobuf/wrappers.proto');

/** A type of google/protobuf/wrappers.proto. */
export const wrapped = (name: string): protobuf.Type =>
  wrappers.lookupType(`google.protobuf.${name}`);

const services = {
  v3: v3.lookupService('envoy.service.accesslog.v3.AccessLogService'),
  v2: load('envoy/service/accesslog/v2/als.proto').lookupService(
    'envoy.service.accesslog.v2.AccessLogService',
  ),
} as const;

export type AlsVersion = keyof typeof services;

/** The path of the streaming method. */
export function streamPath(version: AlsVersion): string {
  const { fullName, methods } = services[version];
  return `/${fullName.slice(1)}/${methods['StreamAccessLogs']?.name}`;
}

/** What the method answers. */
export const StreamAccessLogsResponse = v3.lookupType(
  'envoy.service.accesslog.v3.StreamAccessLogsResponse',
);
