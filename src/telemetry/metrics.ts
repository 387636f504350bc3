// The numbers of the process. The hot path adds to plain fields; prom-client sees them only when somebody scrapes.

import { Gauge, Registry } from 'prom-client';

export type Labels = Readonly<Record<string, string>>;

/** A number that only grows. Adding is one field write. */
export class Counter {
  value = 0;
  add(count: number): void {
    this.value += count;
  }
}

type Series = { labels: Labels; read: () => number };
type Family = {
  name: string;
  help: string;
  type: 'counter' | 'gauge';
  labelNames: Set<string>;
  series: Map<string, Series & { counter: Counter | undefined }>;
};

const keyOf = (labels: Labels): string => JSON.stringify(Object.entries(labels).sort());

/**
 * All metrics of one daemon. Names are given in full, with the suffix (`_total`, `_bytes`, `_seconds`). The same name
 * and labels give the same counter again, so that a reload goes on counting.
 */
export class Metrics {
  readonly #families = new Map<string, Family>();

  /** A counter; `labels` are fixed for its life. */
  counter(name: string, help: string, labels: Labels = {}): Counter {
    const family = this.#family(name, help, 'counter', labels);
    const key = keyOf(labels);
    const known = family.series.get(key)?.counter;
    if (known !== undefined) return known;
    const counter = new Counter();
    family.series.set(key, { labels, counter, read: () => counter.value });
    return counter;
  }

  /** A gauge that is read when scraped. A second gauge of the same labels replaces the first. Returns its removal. */
  gauge(name: string, help: string, labels: Labels, read: () => number): () => void {
    const family = this.#family(name, help, 'gauge', labels);
    const key = keyOf(labels);
    const series = { labels, counter: undefined, read };
    family.series.set(key, series);
    return () => {
      if (family.series.get(key) === series) family.series.delete(key);
    };
  }

  /** The value of one series, for status pages and tests; undefined when there is none. */
  read(name: string, labels: Labels = {}): number | undefined {
    return this.#families.get(name)?.series.get(keyOf(labels))?.read();
  }

  /** The sum of a metric's series, of those whose labels pass. */
  total(name: string, wanted: (labels: Labels) => boolean = () => true): number {
    const series = [...(this.#families.get(name)?.series.values() ?? [])];
    return series.reduce((sum, { labels, read }) => (wanted(labels) ? sum + read() : sum), 0);
  }

  /** Every metric with its help, for the reference page. */
  list(): { name: string; help: string; type: string }[] {
    return [...this.#families.values()].map(({ name, help, type }) => ({ name, help, type }));
  }

  /** Prometheus text, format 0.0.4. */
  async render(): Promise<{ contentType: string; text: string }> {
    const registry = new Registry();
    for (const family of this.#families.values()) {
      if (family.type === 'counter') {
        registry.registerMetric(counterMetric(family));
        continue;
      }
      const gauge = new Gauge({
        name: family.name,
        help: family.help,
        labelNames: [...family.labelNames],
        registers: [registry],
      });
      for (const { labels, read } of family.series.values()) gauge.set({ ...labels }, read());
    }
    return { contentType: registry.contentType, text: await registry.metrics() };
  }

  #family(name: string, help: string, type: Family['type'], labels: Labels): Family {
    let family = this.#families.get(name);
    if (family === undefined) {
      family = { name, help, type, labelNames: new Set(), series: new Map() };
      this.#families.set(name, family);
    }
    for (const label of Object.keys(labels)) family.labelNames.add(label);
    return family;
  }
}

// prom-client's Counter can only be incremented; registering an object of its shape publishes a value that is kept
// elsewhere, with type "counter".
function counterMetric(family: Family): Gauge {
  const get = async () => ({
    name: family.name,
    help: family.help,
    type: 'counter',
    aggregator: 'sum',
    values: [...family.series.values()].map(({ labels, read }) => ({ labels, value: read() })),
  });
  const metric = {
    name: family.name,
    help: family.help,
    type: 'counter',
    aggregator: 'sum',
    get,
    getForPromString: get,
    reset: () => undefined,
  };
  return metric as unknown as Gauge;
}
