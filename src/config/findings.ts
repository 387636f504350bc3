// What turns up while one configuration is read, gathered in order.

import { type Problem, toProblem } from './problem.ts';
import type { Place, Source } from './source.ts';

/** A problem or a warning before it is written out. */
export type Finding = {
  readonly place: Place;
  /** In the user's words, such as `processors.sample.percent`; empty: none. */
  readonly path: string;
  readonly message: string;
  readonly severity: 'error' | 'warning';
};

export class Findings {
  readonly #sources: readonly Source[];
  readonly #findings = new Map<string, Finding>();
  readonly #secrets: Place[] = [];
  readonly #spoiled = new Set<string>();
  hasErrors = false;

  constructor(sources: readonly Source[]) {
    this.#sources = sources;
  }

  add(finding: Finding): void {
    const { place, message, path, severity } = finding;
    if (this.#spoiled.has(placeKey(place))) return;
    // A reference is looked at twice, as a value and as text: what it says, it says once.
    const key = JSON.stringify([place.source.file, place.start, path, message]);
    if (!this.#findings.has(key)) this.#findings.set(key, finding);
    this.hasErrors ||= severity === 'error';
  }

  problem(place: Place, message: string, path = ''): void {
    this.add({ place, path, message, severity: 'error' });
  }

  /** A value that could not be put together: nothing else is said about it. */
  spoiled(place: Place, message: string): void {
    this.problem(place, message);
    this.#spoiled.add(placeKey(place));
  }

  warning(place: Place, message: string, path = ''): void {
    this.add({ place, path, message, severity: 'warning' });
  }

  /** A value that no message may show. */
  secret(place: Place): void {
    this.#secrets.push(place);
  }

  /** All of one severity, in the order of the files. */
  problems(severity: Finding['severity']): Problem[] {
    const rank = ({ place }: Finding): number => this.#sources.indexOf(place.source);
    return [...this.#findings.values()]
      .filter((finding) => finding.severity === severity)
      .sort((a, b) => rank(a) - rank(b) || a.place.start - b.place.start)
      .map(({ place, path, message }) =>
        toProblem(place, path === '' ? message : `${path}: ${message}`, this.#secrets),
      );
  }
}

const placeKey = ({ source, start, end }: Place): string => `${source.file}:${start}:${end}`;
