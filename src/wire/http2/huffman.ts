// The code of HPACK for texts (RFC 7541, appendix B). It is canonical: the lengths of its codes say everything.

/** By byte, how many bits its code has, as a digit to the base of 36. The 257th code, of 30 ones, ends a text. */
const lengths =
  'dnsssssssoussussssssssusssssssss6aacd68baa8b8666555666666678f6ca' +
  'd67777777777777777777777878djde6f56565666577666567655677777fbeds' +
  'kmkkmmmnmnnnnnonoomnonnnnlmnmnnomlkmmnnlnmmolmnnllmlnmnnkmmmnmmn' +
  'qqkjmnmpqqqrrqopjlqrrqrollqqsrrrkoklmllnmmppooqnqrqqrrrrrsrrrrrq';
const shortest = 5;
const longest = 30;

/** By length: the first code, how many there are, and where their bytes begin in `bytesInOrder`. */
const firstOf = new Uint32Array(longest + 1);
const countOf = new Uint16Array(longest + 1);
const startOf = new Uint16Array(longest + 1);
const bytesInOrder = new Uint8Array(256);

let code = 0;
let placed = 0;
for (let length = shortest; length <= longest; length++) {
  firstOf[length] = code;
  startOf[length] = placed;
  for (let byte = 0; byte < 256; byte++) {
    if (Number.parseInt(lengths[byte] as string, 36) !== length) continue;
    bytesInOrder[placed++] = byte;
    countOf[length]!++;
    code++;
  }
  code *= 2;
}

/** The text that these bytes stand for, a character per byte; undefined: they break the code. */
export function huffmanDecoded(bytes: Buffer, start: number, end: number): string | undefined {
  const out = Buffer.allocUnsafe(Math.ceil(((end - start) * 8) / shortest));
  let written = 0;
  let bits = 0;
  let length = 0;
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!;
    for (let shift = 7; shift >= 0; shift--) {
      bits = bits * 2 + ((byte >> shift) & 1);
      if (++length > longest) return undefined;
      const index = bits - firstOf[length]!;
      if (index < 0 || index >= countOf[length]!) continue;
      out[written++] = bytesInOrder[startOf[length]! + index]!;
      bits = 0;
      length = 0;
    }
  }
  // What is left of the last byte is filled with the beginning of the code that ends a text.
  if (length > 7 || bits !== 2 ** length - 1) return undefined;
  return out.latin1Slice(0, written);
}
