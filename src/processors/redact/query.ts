// Parameters of queries, in a path, a whole URL or any text that contains one.

/** `?name=` or `&name=`, then the value up to what ends one. Linear: nothing in it can match in two ways. */
const parameter = /([?&;])([^?&;=#\s"']+)=([^&;#\s"']*)/g;

/** The text with the values of the named parameters, or of all, replaced. Names have no case. */
export function redactQuery(
  text: string,
  names: ReadonlySet<string> | 'all',
  replacement: string,
): string {
  return text.replace(parameter, (whole, sign: string, name: string, value: string) => {
    const isSecret = value !== '' && (names === 'all' || names.has(plainName(name)));
    return isSecret ? `${sign}${name}=${replacement}` : whole;
  });
}

/** `api%5Fkey` is api_key too. */
function plainName(name: string): string {
  if (!name.includes('%')) return name.toLowerCase();
  try {
    return decodeURIComponent(name).toLowerCase();
  } catch {
    return name.toLowerCase();
  }
}
