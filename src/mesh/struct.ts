// Reading documents that somebody else wrote: what is missing or of another kind is undefined.

export type Struct = { readonly [key: string]: unknown };

export function isStruct(value: unknown): value is Struct {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function structAt(value: unknown, key: string): Struct | undefined {
  const inner = isStruct(value) ? value[key] : undefined;
  return isStruct(inner) ? inner : undefined;
}

/** A text that is not empty. */
export function textAt(value: unknown, key: string): string | undefined {
  const text = isStruct(value) ? value[key] : undefined;
  return typeof text === 'string' && text !== '' ? text : undefined;
}

export function numberAt(value: unknown, key: string): number | undefined {
  const number = isStruct(value) ? value[key] : undefined;
  return typeof number === 'number' ? number : undefined;
}

export function listAt(value: unknown, key: string): readonly unknown[] {
  const list = isStruct(value) ? value[key] : undefined;
  return Array.isArray(list) ? list : [];
}
