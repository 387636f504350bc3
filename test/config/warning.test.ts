import { expect, test } from 'vitest';
import { z } from 'zod';
import type { Catalogue } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load.ts';
import { warn } from '../../src/config/warning.ts';
import { standIn, told } from './stand_in.ts';

/** A receiver whose schema is `config`, with a value of `text`. */
function read(config: z.ZodType, text: string) {
  const nop = standIn.receivers['nop']!;
  const catalogue: Catalogue = { ...standIn, receivers: { tried: { ...nop, config } } };
  const whole =
    `receivers: { tried: ${text} }\nexporters: { nop: }\n` +
    'service: { pipelines: { logs: { receivers: [tried], exporters: [nop] } } }\n';
  const {
    config: loaded,
    problems,
    warnings,
  } = loadConfig([{ file: 'x', text: whole }], catalogue, {});
  return {
    value: loaded?.receivers[0]?.config,
    problems: told(problems),
    warnings: told(warnings),
  };
}

const old = z.string().superRefine((text, context) => {
  if (text === 'old') warn(context, 'is out of date');
});

test('a warning does not keep later steps from running', () => {
  const schema = z
    .strictObject({ mode: old.transform((text) => text.length), number: z.number() })
    .refine(({ number }) => number > 0, 'number has to be above 0')
    .transform((value) => ({ ...value, done: true }));
  expect(read(schema, '{ mode: old, number: 1 }')).toEqual({
    value: { mode: 3, number: 1, done: true },
    problems: [],
    warnings: ['1:29: receivers.tried.mode: is out of date'],
  });
  expect(read(schema, '{ mode: old, number: 0 }')).toMatchObject({
    value: undefined,
    problems: ['1:14: receivers.tried: number has to be above 0'],
    warnings: ['1:29: receivers.tried.mode: is out of date'],
  });
});

test('an issue that calls itself a warning does not refuse either', () => {
  const schema = z.strictObject({
    mode: z.string().superRefine((_, context) => {
      const params = { severity: 'warning', offset: 2 };
      context.addIssue({ code: 'custom', message: 'hm', params });
    }),
  });
  expect(read(schema, '{ mode: abc }')).toEqual({
    value: { mode: 'abc' },
    problems: [],
    warnings: ['1:31: receivers.tried.mode: hm'],
  });
});

test('a message that a schema brings along is kept, and its path followed', () => {
  const schema = z
    .strictObject({ low: z.number().max(5, 'low is too high'), high: z.number() })
    .superRefine(({ low, high }, context) => {
      if (low > high) context.addIssue({ code: 'custom', message: 'above high', path: ['low'] });
    });
  expect(read(schema, '{ low: 9, high: 1 }').problems).toEqual([
    '1:28: receivers.tried.low: low is too high',
    '1:28: receivers.tried.low: above high',
  ]);
  expect(read(schema, '{ low: 3, high: 1 }').problems).toEqual([
    '1:28: receivers.tried.low: above high',
  ]);
});

test('a check that throws is a problem of its part', () => {
  const schema = z.strictObject({}).transform((): never => {
    throw new TypeError('no luck');
  });
  expect(read(schema, '').problems).toEqual(['1:14: receivers.tried: cannot be checked: no luck']);
});
