// Gloo Mesh's AccessLogRecord: `filters` (any match keeps) and `workloadSelectors` (whose proxies are logged).

import { type Self, selfOf } from '../../mesh/self.ts';
import { isStruct } from '../../mesh/struct.ts';
import { labelsOf } from '../../mesh/workload_metadata.ts';
import type { Batch } from '../../pipeline/batch.ts';
import type { Attributes } from '../../pipeline/record.ts';
import { anyOf, type Plan, type Report } from './condition.ts';
import { FieldReader } from './field_reader.ts';
import { entryOf } from './names.ts';
import { type Path, Struct } from './struct.ts';
import { regexTest, type TextTest, textTest } from './text_matcher.ts';

/** Reads the list `filters`; undefined when it is empty or (reported) wrong. */
export function readGlooFilters(
  items: readonly unknown[],
  path: Path,
  report: Report,
): Plan | undefined {
  const plans = items.map((item, i) => readFilter(item, [...path, i], report));
  if (plans.length === 0 || plans.includes(undefined)) return undefined;
  return (surroundings) => anyOf((plans as Plan[]).map((plan) => plan(surroundings)));
}

function readFilter(value: unknown, path: Path, report: Report): Plan | undefined {
  const kinds = ['status_code_matcher', 'header_matcher'];
  const struct = Struct.read(value, path, report, kinds);
  const kind = struct?.only(kinds, true);
  if (struct === undefined || kind === undefined) return undefined;
  if (kind === 'status_code_matcher') {
    const status = struct.struct(kind, ['value', 'comparator']);
    return status && readStatus(status);
  }
  const header = struct.struct(kind, ['name', 'value', 'regex', 'invert_match']);
  return header && readHeader(header);
}

const comparators = ['EQ', 'GE', 'LE'];

function readStatus(struct: Struct): Plan | undefined {
  const wanted = struct.number('value');
  const comparator = struct.choice('comparator', comparators) ?? 0;
  if (wanted === undefined) {
    struct.problem('value is missing');
    return undefined;
  }
  return () => {
    const code = new FieldReader([{ name: 'response.code' }]);
    return {
      bind: (batch) => code.bind(batch),
      test: (row) => {
        const value = code.number(row) || 0;
        if (comparator === 0) return value === wanted;
        return comparator === 1 ? value >= wanted : value <= wanted;
      },
    };
  };
}

/** Of the request or of the response. Inverted, it asks that neither has such a header. */
function readHeader(struct: Struct): Plan | undefined {
  const name = struct.text('name');
  if (name === undefined || name === '') {
    struct.problem('name is missing');
    return undefined;
  }
  const invert = struct.truth('invert_match') === true;
  const test = readValue(struct);
  if (test === undefined) return undefined;
  return () => {
    const request = new FieldReader(entryOf('request.headers', name).sources);
    const response = new FieldReader(entryOf('response.headers', name).sources);
    return {
      bind: (batch) => {
        request.bind(batch);
        response.bind(batch);
      },
      test: (row) => {
        const found =
          (request.span(row) && test(request)) || (response.span(row) && test(response));
        return found !== invert;
      },
    };
  };
}

/** Without a value, presence is enough. */
function readValue(struct: Struct): TextTest | undefined {
  const value = struct.text('value');
  const isRegex = struct.truth('regex') === true;
  if (value === undefined || value === '') return () => true;
  if (!isRegex) return textTest('exact', value, false);
  return regexTest(value, (message, offset) => struct.problem(message, 'value', offset));
}

type Selector = {
  readonly labels: ReadonlyMap<string, string>;
  readonly namespaces: readonly string[];
  readonly clusters: readonly string[];
};

/** Reads the list `workloadSelectors`; undefined when it is empty or (reported) wrong. */
export function readWorkloadSelectors(
  items: readonly unknown[],
  path: Path,
  report: Report,
): Plan | undefined {
  const selectors = items.map((item, i) => readSelector(item, [...path, i], report));
  if (selectors.length === 0 || selectors.includes(undefined)) return undefined;
  return () => new WorkloadCondition(selectors as Selector[]);
}

function readSelector(value: unknown, path: Path, report: Report): Selector | undefined {
  const inner = ['labels', 'namespaces', 'clusters'];
  const outer = Struct.read(value, path, report, ['kube_workload_matcher', ...inner]);
  const struct = outer?.has('kube_workload_matcher')
    ? outer.struct('kube_workload_matcher', inner)
    : outer;
  if (struct === undefined) return undefined;
  const labels = struct.value('labels');
  const isMap = labels === undefined || (typeof labels === 'object' && !Array.isArray(labels));
  if (!isMap) struct.problem('expected a map of texts', 'labels');
  const entries = isMap ? Object.entries(labels ?? {}) : [];
  return {
    labels: new Map(entries.map(([key, label]) => [key, String(label)])),
    namespaces: struct.texts('namespaces'),
    clusters: struct.texts('clusters'),
  };
}

/** Any selector fits the workload whose proxy wrote the record; in a selector everything has to fit. */
class WorkloadCondition {
  readonly #selectors: readonly Selector[];
  readonly #reporter = new FieldReader([{ name: 'mesh.reporter' }]);
  readonly #cluster = new FieldReader([{ name: 'mesh.cluster' }]);
  readonly #sourceNamespace = new FieldReader([{ name: 'mesh.source.namespace' }]);
  readonly #destinationNamespace = new FieldReader([{ name: 'mesh.destination.namespace' }]);
  #selves: readonly Self[] = [];
  #resources: readonly Attributes[] = [];
  #resourceOf: Uint16Array | undefined = undefined;

  constructor(selectors: readonly Selector[]) {
    this.#selectors = selectors;
  }

  bind(batch: Batch): void {
    this.#resources = batch.resources;
    this.#selves = batch.resources.map(selfOf);
    this.#resourceOf = batch.resourceOf;
    this.#reporter.bind(batch);
    this.#cluster.bind(batch);
    this.#sourceNamespace.bind(batch);
    this.#destinationNamespace.bind(batch);
  }

  test(row: number): boolean {
    const resource = this.#resourceOf?.[row] ?? 0;
    const self = this.#selves[resource];
    const facts = this.#resources[resource] ?? {};
    return this.#selectors.some(
      ({ labels, namespaces, clusters }) =>
        fits(namespaces, () => self?.namespace ?? this.#namespaceOf(row)) &&
        fits(clusters, () => self?.cluster ?? this.#cluster.text(row)) &&
        [...labels].every(([key, label]) => labelOf(facts, key) === label),
    );
  }

  /** Where the stream does not say it: the side on which the reporting proxy stands. */
  #namespaceOf(row: number): string | undefined {
    const isDestination = this.#reporter.text(row) === 'destination';
    return (isDestination ? this.#destinationNamespace : this.#sourceNamespace).text(row);
  }
}

/** A label of the workload: of its pod, or as the proxy's node metadata says it. */
function labelOf(resource: Attributes, key: string): unknown {
  const ofPod = resource[`k8s.pod.label.${key}`];
  if (ofPod !== undefined) return ofPod;
  for (const name of ['envoy.node.metadata', 'node.metadata']) {
    const metadata = resource[name];
    if (isStruct(metadata)) return labelsOf(metadata['LABELS'])?.[key];
  }
  return undefined;
}

/** An empty list and `*` fit whatever there is. */
function fits(wanted: readonly string[], actual: () => string | undefined): boolean {
  if (wanted.length === 0 || wanted.includes('*')) return true;
  const name = actual();
  return name !== undefined && wanted.includes(name);
}
