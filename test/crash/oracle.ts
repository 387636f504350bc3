// Who knows everything: what was issued, what the daemon has acknowledged, and what the sink has.

import { type Id, idOf } from './payload.ts';

export type Report = {
  readonly issued: number;
  readonly acknowledged: number;
  readonly delivered: number;
  /** Acknowledged and not delivered. */
  readonly missing: number;
  readonly missingSample: string[];
  /** Delivered and never issued. */
  readonly invented: number;
  readonly corrupted: number;
  /** Deliveries of what had been delivered before. */
  readonly duplicates: number;
};

const keyOf = ({ stream, number }: Id): string => `${stream}-${number}`;

export class Oracle {
  readonly #issued = new Set<string>();
  readonly #acknowledged = new Set<string>();
  readonly #delivered = new Set<string>();
  #deliveries = 0;
  #corrupted: string[] = [];
  #invented = 0;

  issue(id: Id): void {
    this.#issued.add(keyOf(id));
  }

  acknowledge(id: Id): void {
    this.#acknowledged.add(keyOf(id));
  }

  /** A text has arrived. */
  deliver(text: string): void {
    const id = idOf(text);
    if (id === undefined) {
      this.#corrupted.push(text.slice(0, 80));
      return;
    }
    this.#deliveries++;
    const key = keyOf(id);
    if (!this.#issued.has(key)) this.#invented++;
    this.#delivered.add(key);
  }

  has(id: Id): boolean {
    return this.#delivered.has(keyOf(id));
  }

  report(): Report {
    const missing = [...this.#acknowledged].filter((key) => !this.#delivered.has(key));
    return {
      issued: this.#issued.size,
      acknowledged: this.#acknowledged.size,
      delivered: this.#delivered.size,
      missing: missing.length,
      missingSample: missing.slice(0, 5),
      invented: this.#invented,
      corrupted: this.#corrupted.length,
      duplicates: this.#deliveries - this.#delivered.size,
    };
  }
}
