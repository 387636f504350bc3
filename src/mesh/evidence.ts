// Which rules gave an answer, as one short text: `reporter=addresses source=inventory destination=cluster_name`.

import { partyRules } from './call.ts';
import type { Names } from './names.ts';
import { reporterRules } from './reporter.ts';

const reporterNames = Object.keys(reporterRules);
const partyNames = Object.keys(partyRules);
const unmade = -2;

/** The codes of all combinations of rules, each made when it first occurs. */
export class Evidence {
  readonly #names: Names;
  readonly #codes = new Int32Array(reporterNames.length * partyNames.length ** 2).fill(unmade);

  constructor(names: Names) {
    this.#names = names;
  }

  code(reporter: number, source: number, destination: number): number {
    const index = (reporter * partyNames.length + source) * partyNames.length + destination;
    const known = this.#codes[index]!;
    if (known !== unmade) return known;
    const said = [
      ['reporter', reporterNames[reporter]],
      ['source', partyNames[source]],
      ['destination', partyNames[destination]],
    ].filter(([, rule]) => rule !== 'none');
    const code = this.#names.code(said.map(([what, rule]) => `${what}=${rule}`).join(' '));
    this.#codes[index] = code;
    return code;
  }

  clear(): void {
    this.#codes.fill(unmade);
  }
}
