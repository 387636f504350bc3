// The fields that enrich writes, by the groups under which the configuration speaks of them.

import type { Call } from '../../mesh/call.ts';
import type { SelfFacts } from '../../mesh/call_facts.ts';
import type { Evidence } from '../../mesh/evidence.ts';
import { type Names, NO_NAME } from '../../mesh/names.ts';

export const groups = [
  'mesh',
  'proxy',
  'direction',
  'source',
  'destination',
  'protocol',
  'ports',
  'evidence',
  'explanation',
  'severity',
] as const;

export type Group = (typeof groups)[number];

/** What the codes of an answer are made from. */
export type AnswerParts = {
  readonly call: Call;
  readonly self: SelfFacts;
  readonly names: Names;
  readonly evidence: Evidence;
  /** What the configuration says for records whose stream does not. */
  readonly mesh: string | undefined;
  readonly zone: string | undefined;
};

type CallField = readonly [group: Group, name: string, code: (parts: AnswerParts) => number];

const either = (code: number, names: Names, otherwise: string | undefined): number =>
  code === NO_NAME ? names.code(otherwise) : code;

/** Fields that rows with the same answer have in common, in the order in which they are exported. */
// biome-ignore format: a table reads best with one row a line.
export const callFields: readonly CallField[] = [
  ['mesh', 'mesh.name', ({ call, self, names, mesh }) =>
    either(call.meshName, names, mesh ?? names.text(self.meshId))],
  ['mesh', 'mesh.cluster', ({ self }) => self.party.cluster],
  ['mesh', 'mesh.zone', ({ call, names, zone }) => either(call.zone, names, zone)],
  ['proxy', 'mesh.workload', ({ self }) => self.party.workload],
  ['proxy', 'mesh.namespace', ({ self }) => self.party.namespace],
  ['direction', 'mesh.direction', ({ call, names }) => names.code(call.direction)],
  ['direction', 'mesh.reporter', ({ call, names }) => names.code(call.reporter)],
  ['source', 'mesh.source.service', ({ call }) => call.source.service],
  ['source', 'mesh.source.workload', ({ call }) => call.source.workload],
  ['source', 'mesh.source.namespace', ({ call }) => call.source.namespace],
  ['source', 'mesh.source.cluster', ({ call }) => call.source.cluster],
  ['source', 'mesh.source.identity', ({ call }) => call.source.identity],
  ['destination', 'mesh.destination.service', ({ call }) => call.destination.service],
  ['destination', 'mesh.destination.workload', ({ call }) => call.destination.workload],
  ['destination', 'mesh.destination.namespace', ({ call }) => call.destination.namespace],
  ['destination', 'mesh.destination.cluster', ({ call }) => call.destination.cluster],
  ['destination', 'mesh.destination.host', ({ call }) => call.host],
  ['destination', 'mesh.destination.subset', ({ call }) => call.subset],
  ['destination', 'mesh.destination.identity', ({ call }) => call.destination.identity],
  ['evidence', 'mesh.evidence', ({ call, evidence }) =>
    evidence.code(call.reporterRule, call.sourceRule, call.destinationRule)],
];

/** Fields that are written row by row. */
export const rowFields = [
  ['source', 'mesh.source.address'],
  ['destination', 'mesh.destination.port'],
  ['protocol', 'mesh.protocol'],
  ['protocol', 'mesh.tls_mode'],
  ['explanation', 'mesh.explanation'],
] as const;

/** All of them, in the order of the vocabulary: see `inOrder`. */
export const fieldOrder = [
  'mesh.name',
  'mesh.cluster',
  'mesh.zone',
  'mesh.workload',
  'mesh.namespace',
  'mesh.direction',
  'mesh.reporter',
  'mesh.source.service',
  'mesh.source.address',
  'mesh.source.workload',
  'mesh.source.namespace',
  'mesh.source.cluster',
  'mesh.source.identity',
  'mesh.destination.service',
  'mesh.destination.workload',
  'mesh.destination.namespace',
  'mesh.destination.cluster',
  'mesh.destination.port',
  'mesh.destination.host',
  'mesh.destination.subset',
  'mesh.destination.identity',
  'mesh.protocol',
  'mesh.tls_mode',
  'mesh.evidence',
  'mesh.explanation',
] as const;
