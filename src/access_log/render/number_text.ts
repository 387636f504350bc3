// Numbers as Envoy writes them in JSON: doubles in the shortest way that C++'s to_chars finds, digits or an exponent of
// at least two digits, whichever is shorter.

/** A number of a JSON log line. Infinite ones have no JSON; Envoy prints them all the same. */
export function envoyNumber(value: number): string {
  if (Number.isNaN(value)) return 'null';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  if (value === 0) return Object.is(value, -0) ? '-0' : '0';
  if (Number.isInteger(value) && Math.abs(value) < 100_000) return String(value);
  const sign = value < 0 ? '-' : '';
  const [mantissa = '', exponentText = '0'] = Math.abs(value).toExponential().split('e');
  const exponent = Number(exponentText);
  const fixed = fixedText(Math.abs(value), mantissa.replace('.', ''), exponent);
  const power = String(Math.abs(exponent)).padStart(2, '0');
  const scientific = `${mantissa}e${exponent < 0 ? '-' : '+'}${power}`;
  return sign + (scientific.length < fixed.length ? scientific : fixed);
}

/** Without exponent; every digit of integers, even those that a double does not tell apart. */
function fixedText(value: number, digits: string, exponent: number): string {
  if (exponent < 0) return `0.${'0'.repeat(-exponent - 1)}${digits}`;
  if (Number.isInteger(value)) return BigInt(value).toString();
  return `${digits.slice(0, exponent + 1)}.${digits.slice(exponent + 1)}`;
}
