// Sets, renames, deletes and hashes fields, and moves them to the resource.

import { z } from 'zod';
import { secret } from '../../config/fields.ts';
import { type Context, type Processor, processor } from '../../pipeline/component.ts';
import type { AnyValue } from '../../pipeline/record.ts';
import { type Action, copyField, deleteFields, renameField, setField } from './actions.ts';
import { FieldHasher } from './hash.ts';
import { moveToResource } from './to_resource.ts';

// What YAML can say below a list or a map is an AnyValue.
const anyValue = () =>
  z
    .union([
      z.string(),
      z.number(),
      z.boolean(),
      z.array(z.unknown()),
      z.record(z.string(), z.unknown()),
    ])
    .transform((value) => value as AnyValue);

const key = () => z.string().min(1);

const action = z
  .strictObject({
    action: z
      .enum(['insert', 'update', 'upsert', 'delete', 'hash', 'rename', 'move_to_resource'])
      .describe(
        'insert: where the field is missing. update: where it is there. upsert: both. The others as above.',
      ),
    key: key().describe('The field. delete takes a * at its end.'),
    value: anyValue().optional().describe('Of insert, update and upsert: the value.'),
    from_attribute: key()
      .optional()
      .describe(
        'In place of value: the field that is copied; where that is missing nothing happens.',
      ),
    to: key().optional().describe('Of rename: the new name.'),
  })
  .superRefine((settings, context) => {
    const sets = ['insert', 'update', 'upsert'].includes(settings.action);
    const given = [settings.value, settings.from_attribute].filter((one) => one !== undefined);
    const problem =
      sets && given.length !== 1
        ? `${settings.action} needs value or from_attribute`
        : !sets && given.length > 0
          ? `${settings.action} takes no value`
          : (settings.action === 'rename') !== (settings.to !== undefined)
            ? settings.action === 'rename'
              ? 'rename needs to'
              : `${settings.action} takes no to`
            : undefined;
    if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
  });

const config = z.strictObject({
  rename: z
    .record(key(), key())
    .default({})
    .describe(
      'Old name: new name. A field that has the new name is overwritten where the old one is there.',
    ),
  set: z.record(key(), anyValue()).default({}).describe('Name: value that every record gets.'),
  hash: z
    .array(key())
    .default([])
    .describe('Fields whose values are replaced by their SHA-256, in hexadecimal digits.'),
  delete: z
    .array(key())
    .default([])
    .describe('Fields that are left out; request.headers.* stands for all that begin so.'),
  move_to_resource: z
    .array(key())
    .default([])
    .describe('Fields that become attributes of the resource.'),
  actions: z
    .array(action)
    .default([])
    .describe(
      "The same one by one and in their order, in the words of the Collector's attributes processor.",
    ),
  hash_key: secret()
    .optional()
    .describe('Given: hashes are HMACs with this key, so that nobody can find values by trying.'),
});

type Settings = z.output<typeof config>;

export const attributes = processor({
  name: 'attributes',
  summary: 'Sets, renames, deletes and hashes fields, or moves them to the resource.',
  config,
  example: `attributes:
  set: { deployment.environment.name: prod }
  rename: { request.headers.x-tenant: tenant }
  hash: [source.address]
  delete: ['request.headers.*']`,
  notes:
    'Done in the order rename, set, hash, delete, move_to_resource, then actions one by one. Loses what it is told to.',
  create,
});

function create(settings: Settings, _context: Context): Processor {
  const actions = [...brief(settings), ...settings.actions.map((one) => actionOf(one, settings))];
  return {
    process: (batch) => {
      if (batch.count > 0) for (const act of actions) act(batch);
      return batch;
    },
  };
}

function brief(settings: Settings): Action[] {
  return [
    ...Object.entries(settings.rename).map(([from, to]) => renameField(from, to)),
    ...Object.entries(settings.set).map(([name, value]) => setField('upsert', name, value)),
    ...settings.hash.map((name) => hashField(name, settings)),
    ...(settings.delete.length === 0 ? [] : [deleteFields(settings.delete)]),
    ...(settings.move_to_resource.length === 0 ? [] : [moveToResource(settings.move_to_resource)]),
  ];
}

function hashField(name: string, settings: Settings): Action {
  const hasher = new FieldHasher(name, settings.hash_key);
  return (batch) => hasher.replace(batch);
}

function actionOf(one: Settings['actions'][number], settings: Settings): Action {
  switch (one.action) {
    case 'delete':
      return deleteFields([one.key]);
    case 'hash':
      return hashField(one.key, settings);
    case 'rename':
      return renameField(one.key, one.to ?? one.key);
    case 'move_to_resource':
      return moveToResource([one.key]);
    default:
      return one.from_attribute === undefined
        ? setField(one.action, one.key, one.value ?? null)
        : copyField(one.action, one.key, one.from_attribute);
  }
}
