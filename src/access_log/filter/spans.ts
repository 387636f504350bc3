// Texts as bytes: what a filter asks of a field without making a string of it.

/** Bytes from `start` to `end`: a FieldReader after `span`. */
export type Span = { readonly bytes: Buffer; readonly start: number; readonly end: number };

export function spanEquals(span: Span, text: Uint8Array): boolean {
  return span.end - span.start === text.length && spanStartsWith(span, text);
}

export function spanStartsWith(span: Span, text: Uint8Array): boolean {
  const { bytes, start } = span;
  const length = text.length;
  if (span.end - start < length) return false;
  for (let i = 0; i < length; i++) if (bytes[start + i] !== text[i]) return false;
  return true;
}

export function spanEndsWith(span: Span, text: Uint8Array): boolean {
  const { bytes } = span;
  const from = span.end - text.length;
  if (from < span.start) return false;
  for (let i = 0; i < text.length; i++) if (bytes[from + i] !== text[i]) return false;
  return true;
}

export function spanContains(span: Span, text: Uint8Array): boolean {
  const { bytes } = span;
  const length = text.length;
  if (length === 0) return true;
  const first = text[0];
  const last = span.end - length;
  for (let at = span.start; at <= last; at++) {
    if (bytes[at] !== first) continue;
    let i = 1;
    while (i < length && bytes[at + i] === text[i]) i++;
    if (i === length) return true;
  }
  return false;
}

export function spansEqual(left: Span, right: Span): boolean {
  const length = left.end - left.start;
  if (right.end - right.start !== length) return false;
  for (let i = 0; i < length; i++) {
    if (left.bytes[left.start + i] !== right.bytes[right.start + i]) return false;
  }
  return true;
}

/** Negative, zero or positive, by code points as UTF-8 orders them. */
export function compareSpan(span: Span, text: Uint8Array): number {
  return span.bytes.compare(text, 0, text.length, span.start, span.end);
}
