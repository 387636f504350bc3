// Kuma up to 1.6 told its agent in the log name of a stream where lines go and how they look: `address;format`.

import { parseFormatConfig } from '../../access_log/format/config.ts';
import { FormatError } from '../../access_log/format/format_error.ts';
import { compileRenderer, type Renderer } from '../../access_log/renderer.ts';
import { ByteWriter } from '../../encoding/byte_writer.ts';
import type { Batch } from '../../pipeline/batch.ts';
import type { Context } from '../../pipeline/component.ts';
import type { Attributes } from '../../pipeline/record.ts';

const formatsMax = 1024;
/** A longer log name is none of Kuma's: it is not read, nor remembered. */
const logNameMax = 16 * 1024;

type LogName = { readonly address: string; readonly renderer: Renderer };

/** Writes each record's body as the format in its log name says. */
export class KumaBodies {
  readonly #context: Context;
  readonly #known = new Map<string, LogName | undefined>();
  readonly #facts = new WeakMap<Attributes, Attributes>();
  readonly #out = new ByteWriter(4096);

  constructor(context: Context) {
    this.#context = context;
  }

  write(batch: Batch): void {
    const names = batch.resources.map((facts) =>
      this.#logName(String(facts['envoy.log_name'] ?? '')),
    );
    batch.resources = batch.resources.map((facts, i) => this.#withAddress(facts, names[i]));
    const body = batch.body ?? batch.recordColumn('body');
    batch.body = body;
    let current: Renderer | undefined;
    for (let i = 0; i < batch.count; i++) {
      const row = batch.selection[i]!;
      const renderer = names[batch.resourceOf?.[row] ?? 0]?.renderer;
      if (renderer === undefined || body.kind[row] !== 0) continue;
      if (renderer !== current) renderer.begin(batch);
      current = renderer;
      this.#out.reset();
      renderer.render(row, this.#out);
      batch.setValue(body, row, this.#out.bytes().toString().replace(/\n$/, ''));
    }
  }

  #withAddress(facts: Attributes, name: LogName | undefined): Attributes {
    if (name === undefined) return facts;
    let known = this.#facts.get(facts);
    if (known === undefined) {
      known = { ...facts, 'kuma.log_address': name.address };
      this.#facts.set(facts, known);
    }
    return known;
  }

  #logName(text: string): LogName | undefined {
    if (text.length > logNameMax) return undefined;
    if (this.#known.has(text)) return this.#known.get(text);
    if (this.#known.size >= formatsMax) this.#known.clear();
    const name = this.#read(text);
    this.#known.set(text, name);
    return name;
  }

  #read(text: string): LogName | undefined {
    const separator = text.indexOf(';');
    if (separator < 0) {
      this.#context.log.warn(
        `log name ${JSON.stringify(text)} has invalid format: expected 2 components separated by ';', got 1`,
      );
      return undefined;
    }
    try {
      const plain = text.slice(separator + 1);
      const { format, problems } = parseFormatConfig({ type: 'Plain', plain });
      if (format === undefined || format.kind === 'named') {
        throw new FormatError(problems.map(({ message }) => message).join('; '));
      }
      return { address: text.slice(0, separator), renderer: compileRenderer(format) };
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      this.#context.log.warn(
        `cannot write what log name ${JSON.stringify(text)} asks for: ${error.message}`,
      );
      return undefined;
    }
  }
}
