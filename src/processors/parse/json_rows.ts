// JSON lines as rows: flat records of a proxy or of anybody else, and proto-JSON of the access log service.

import { fieldOf, fieldOfKey } from '../../access_log/fields.ts';
import { NO_FIT, UNDERSTOOD } from '../../access_log/line_parser.ts';
import { AlsJsonRows, alsJsonKeys, readAlsJson } from '../../encoding/als_json.ts';
import { type JsonProblem, JsonScanner } from '../../encoding/json_lines/scanner.ts';
import type { Recognised, RowParser } from './row_parser.ts';

const problems: Readonly<Record<JsonProblem, string>> = {
  invalid_json: 'is no valid JSON',
  not_an_object: 'is no JSON object',
  nested_too_deep: 'is nested too deep',
  too_many_fields: 'has more fields than a batch can hold',
};

const named = (format: string): Recognised => ({ format, variant: '' });
const json = named('json');
const istioJson = named('istio_json');
const alsJson = named('als_json');

/** Keys as Envoy's users know them, and the vocabulary's own names. */
const meaning = (key: string) => fieldOfKey(key) ?? fieldOf(key);

/** Reads JSON objects. Those that are messages of the access log service become a row per entry. */
export function jsonRows(): RowParser {
  const scanner = new JsonScanner(meaning, alsJsonKeys);
  const messages = new AlsJsonRows();
  let recognised = json;
  return {
    name: 'json',
    begin: (batch) => scanner.begin(batch),
    parse(batch, row, start, end) {
      if (!scanner.scan(row, start, end)) return NO_FIT;
      if (scanner.told) {
        const message = readAlsJson(batch.bytes.utf8Slice(start, end));
        if (message !== undefined) {
          scanner.clear(row);
          messages.add(row, message);
          recognised = alsJson;
          return UNDERSTOOD;
        }
      }
      if (recognised !== istioJson) {
        recognised = scanner.knows('requested_server_name') ? istioJson : json;
      }
      return UNDERSTOOD;
    },
    reason: () => `${problems[scanner.problem]} at byte ${scanner.at}`,
    recognised: () => recognised,
    problem: () => scanner.problem,
    end(batch) {
      scanner.end();
      return messages.isEmpty ? batch : messages.expand(batch);
    },
  };
}

/** Reads messages of the access log service and nothing else. */
export function alsJsonRows(): RowParser {
  const messages = new AlsJsonRows();
  return {
    name: 'als_json',
    begin: () => undefined,
    parse(batch, row, start, end) {
      const message = readAlsJson(batch.bytes.utf8Slice(start, end));
      if (message === undefined) return NO_FIT;
      messages.add(row, message);
      return UNDERSTOOD;
    },
    reason: () => 'is no access log entry or message as proto-JSON',
    recognised: () => alsJson,
    problem: () => 'no_fit',
    end: (batch) => (messages.isEmpty ? batch : messages.expand(batch)),
  };
}
