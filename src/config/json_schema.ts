// The whole configuration as JSON Schema (draft 7), for editors that speak to yaml-language-server.

import { z } from 'zod';
import { type Catalogue, kinds, sectionOf } from './config.ts';
import type { Schema } from './schema.ts';
import { serviceSchema } from './service.ts';

type Json = { [key: string]: unknown };

/** Component schemas stand under `definitions`, so that what refers to itself can. */
export function jsonSchema(catalogue: Catalogue): Json {
  const definitions: Json = { service: schemaOf(serviceSchema, 'service') };
  const properties: Json = {};
  for (const kind of kinds) {
    const section = sectionOf(kind);
    const types: Json = {};
    for (const { name, summary, config } of Object.values(catalogue[section])) {
      const definition = `${kind}_${name}`;
      definitions[definition] = schemaOf(config, definition);
      const reference = { $ref: `#/definitions/${definition}` };
      types[`^${name}(/.+)?$`] = { description: summary, anyOf: [reference, { type: 'null' }] };
    }
    properties[section] = {
      type: 'object',
      patternProperties: types,
      additionalProperties: false,
    };
  }
  const service = { $ref: '#/definitions/service' };
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'meshlog configuration',
    type: 'object',
    properties: { ...properties, service, extensions: {}, connectors: {} },
    required: ['receivers', 'exporters', 'service'],
    additionalProperties: false,
    definitions,
  };
}

function schemaOf(schema: Schema, name: string): Json {
  const { $schema: _, ...json } = z.toJSONSchema(schema, {
    target: 'draft-7',
    io: 'input',
    unrepresentable: 'any',
    override: ({ jsonSchema: node }) => substitutable(node as Json),
  });
  return referringTo(json, `#/definitions/${name}`) as Json;
}

const substitution = { type: 'string', pattern: '\\$\\{' };

/** Where a number or a switch is wanted, `${env:NAME}` may stand. */
function substitutable(node: Json): void {
  if (!['number', 'integer', 'boolean'].includes(String(node['type']))) return;
  const { description, default: fallback, ...rest } = node;
  for (const key of Object.keys(node)) delete node[key];
  if (description !== undefined) node['description'] = description;
  if (fallback !== undefined) node['default'] = fallback;
  node['anyOf'] = [rest, substitution];
}

/** References within a schema, once it stands at `place` of a larger one. */
function referringTo(json: unknown, place: string): unknown {
  if (Array.isArray(json)) return json.map((item) => referringTo(item, place));
  if (typeof json !== 'object' || json === null) return json;
  return Object.fromEntries(
    Object.entries(json).map(([key, value]) =>
      key === '$ref' && typeof value === 'string' && value.startsWith('#')
        ? [key, place + value.slice(1)]
        : [key, referringTo(value, place)],
    ),
  );
}
