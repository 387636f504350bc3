// Ids of components and pipelines: `type` or `type/name`, with the Collector's rules and words.

export type Id = { readonly id: string; readonly type: string; readonly name: string };

/** The parts of an id, or what is wrong with it. */
export function parseId(id: string): Id | { readonly why: string } {
  const slash = id.indexOf('/');
  const type = slash < 0 ? id : id.slice(0, slash);
  const name = slash < 0 ? '' : id.slice(slash + 1);
  if (id === '') return { why: 'id must not be empty' };
  if (type === '') return { why: `in "${id}" id: the part before / should not be empty` };
  if (slash >= 0 && name === '') {
    return { why: `in "${id}" id: the part after / should not be empty` };
  }
  if (!/^[a-zA-Z][0-9a-zA-Z_]{0,62}$/.test(type)) {
    return {
      why: `invalid character(s) in type "${type}": letters, digits and _ only, 63 at most`,
    };
  }
  if (name.length > 1024 || !/^[^\p{Z}\p{C}\p{S}]*$/u.test(name)) {
    return { why: `invalid character(s) in name "${name}": no blanks and no symbols` };
  }
  return { id, type, name };
}
