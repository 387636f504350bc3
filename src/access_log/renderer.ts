// Formats compiled into renderers: rows of a batch become text, JSON or lines. The other direction is format_parser.ts.

import type { Batch } from '../pipeline/batch.ts';
import type { Format, JsonFormat, JsonNode, TextFormat } from './format/format.ts';
import { loneCommand } from './format/format.ts';
import type { Segment } from './format/grammar.ts';
import { FieldCells } from './render/field_cells.ts';
import { jsonText } from './render/json_text.ts';
import { type Constant, constant, escapeJson, type Out, putConstant } from './render/out.ts';
import type { NumberStyle, Piece } from './render/piece.ts';
import { pieceOf } from './render/piece_of.ts';

/** Prints rows. One instance per caller: `begin` turns it to a batch. */
export type Renderer = {
  begin(batch: Batch): void;
  render(row: number, out: Out): void;
};

type RendererOptions = {
  /** Whether what is rendered ends with exactly one newline (the default), or with what the format has. */
  readonly newline?: boolean;
};

/** A renderer of lines. Throws FormatError for an expression in it that cannot be compiled. */
export function compileRenderer(format: Format, options: RendererOptions = {}): Renderer {
  if (format.kind === 'pair') return pairRenderer(format, options);
  const inner = format.kind === 'text' ? textLine(format) : jsonLine(format);
  if (options.newline === false) return inner;
  return {
    begin: inner.begin,
    render: (row, out) => {
      const from = out.at;
      inner.render(row, out);
      if (out.at === from || out.buffer[out.at - 1] !== 10) out.byte(10);
    },
  };
}

function textLine(format: TextFormat): Renderer {
  return templateRenderer(format.segments, { omitEmpty: format.omitEmpty });
}

type TemplateOptions = { readonly omitEmpty?: boolean; readonly numbers?: NumberStyle };

/** A renderer of text and values one after the other, without a newline of its own: bodies, attributes, mixed strings. */
export function templateRenderer(
  segments: readonly Segment[],
  { omitEmpty = false, numbers = 'plain' }: TemplateOptions = {},
): Renderer {
  const literals: Constant[] = [];
  const pieces: Piece[] = [];
  let literal = '';
  for (const segment of segments) {
    if (typeof segment === 'string') literal += segment;
    else {
      literals.push(constant(literal));
      pieces.push(pieceOf(segment, numbers));
      literal = '';
    }
  }
  const tail = constant(literal);
  const missing = constant(omitEmpty ? '' : '-');
  let plain: (FieldCells | undefined)[] = [];
  return {
    begin: (batch) => {
      for (const piece of pieces) piece.begin(batch);
      plain = pieces.map((piece) => piece.plain?.());
    },
    render: (row, out) => {
      for (let i = 0; i < pieces.length; i++) {
        putConstant(out, literals[i]!);
        const field = plain[i];
        const there = field === undefined ? pieces[i]!.text(row, out) : field.write(row, out);
        if (!there) putConstant(out, missing);
      }
      putConstant(out, tail);
    },
  };
}

/** HTTP and TCP by what the row has: a method, a protocol or a status is HTTP. */
function pairRenderer(
  { http, tcp }: Extract<Format, { kind: 'pair' }>,
  options: RendererOptions,
): Renderer {
  const ofHttp = compileRenderer(http, options);
  const ofTcp = compileRenderer(tcp, options);
  const isHttp = new HttpTest();
  return {
    begin: (batch) => {
      isHttp.begin(batch);
      ofHttp.begin(batch);
      ofTcp.begin(batch);
    },
    render: (row, out) => (isHttp.at(row) ? ofHttp : ofTcp).render(row, out),
  };
}

/** Whether a row is an HTTP request. */
class HttpTest {
  readonly #signs = ['request.method', 'request.protocol', 'request.path'].map(
    (name) => new FieldCells(name),
  );
  readonly #code = new FieldCells('response.code');

  begin(batch: Batch): void {
    for (const sign of this.#signs) sign.begin(batch);
    this.#code.begin(batch);
  }

  at(row: number): boolean {
    return this.#signs.some((sign) => sign.has(row)) || this.#code.number(row) > 0;
  }
}

/** Writes a JSON value of a row; false and nothing when it is null. */
type Node = {
  begin(batch: Batch): void;
  write(row: number, out: Out): boolean;
  /** See Piece. */
  plain?(): FieldCells | undefined;
};

function jsonLine(format: JsonFormat): Renderer {
  const node = compileNode(format.root, format);
  return {
    begin: (batch) => node.begin(batch),
    render: (row, out) => {
      if (!node.write(row, out)) out.text('{}');
    },
  };
}

function compileNode(node: JsonNode, format: JsonFormat): Node {
  switch (node.kind) {
    case 'object':
      return objectNode(node.entries, format);
    case 'list':
      return listNode(node.items.map((item) => compileNode(item, format)));
    case 'constant':
      return constantNode(node.value);
    case 'template':
      return templateNode(node.segments, format);
  }
}

function constantNode(value: string | number | boolean | null): Node {
  const text = constant(jsonText(value));
  return {
    begin: () => {},
    write: (_row, out) => {
      if (value === null) return false;
      putConstant(out, text);
      return true;
    },
  };
}

function templateNode(segments: readonly Segment[], format: JsonFormat): Node {
  const command = loneCommand(segments);
  if (command !== undefined) {
    const piece = pieceOf(command, format.numbers);
    return {
      begin: (batch) => piece.begin(batch),
      write: (row, out) => piece.json(row, out),
      plain: () => piece.plain?.(),
    };
  }
  const inner = templateRenderer(segments, { omitEmpty: format.omitEmpty });
  return {
    begin: inner.begin,
    write: (row, out) => {
      out.byte(34);
      const from = out.at;
      inner.render(row, out);
      escapeJson(out, from);
      out.byte(34);
      return true;
    },
  };
}

const nullText = constant('null');

function listNode(items: readonly Node[]): Node {
  return {
    begin: (batch) => {
      for (const item of items) item.begin(batch);
    },
    write: (row, out) => {
      out.byte(91);
      for (let i = 0; i < items.length; i++) {
        if (i > 0) out.byte(44);
        if (!items[i]!.write(row, out)) putConstant(out, nullText);
      }
      out.byte(93);
      return true;
    },
  };
}

/** With `omitEmpty` keys without value are left out, and an object that thereby becomes empty is none. */
function objectNode(entries: readonly (readonly [string, JsonNode])[], format: JsonFormat): Node {
  const { omitEmpty } = format;
  const firsts = entries.map(([key]) => constant(`${JSON.stringify(key)}:`));
  const others = entries.map(([key]) => constant(`,${JSON.stringify(key)}:`));
  const values = entries.map(([, value]) => compileNode(value, format));
  let plain: (FieldCells | undefined)[] = [];
  return {
    begin: (batch) => {
      for (const value of values) value.begin(batch);
      plain = values.map((value) => value.plain?.());
    },
    write: (row, out) => {
      const from = out.at;
      out.byte(123);
      for (let i = 0; i < values.length; i++) {
        const before = out.at;
        putConstant(out, before > from + 1 ? others[i]! : firsts[i]!);
        const field = plain[i];
        if (field === undefined ? values[i]!.write(row, out) : field.writeJson(row, out)) continue;
        if (omitEmpty) out.at = before;
        else putConstant(out, nullText);
      }
      if (omitEmpty && values.length > 0 && out.at === from + 1) {
        out.at = from;
        return false;
      }
      out.byte(125);
      return true;
    },
  };
}
