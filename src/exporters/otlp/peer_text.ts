// What peers say, for people to read.

const charactersMax = 300;

/** On one line and not long: nothing in it can pass for a line of the log, or move a terminal's cursor. */
export function peerText(text: string): string {
  return text
    .replace(/[\s\p{Cc}]+/gu, ' ')
    .trim()
    .slice(0, charactersMax);
}
