// What Kuma says about a bad format string, for those who write formats in Kuma's own objects. Positions count bytes
// from 1.

export type Mistake = {
  readonly text: string;
  readonly position: number;
  /** The command, when it could be recognised as one. */
  readonly name?: string;
  readonly params?: string | undefined;
  readonly length?: string | undefined;
  readonly whole?: string;
  /** Envoy's words, used where Kuma has none. */
  readonly envoys?: string;
};

/** The whole message. */
export function kumaWords(mistake: Mistake): string {
  return `format string is not valid: ${reason(mistake)}`;
}

const quote = (text: string): string => JSON.stringify(text);
const headerCommands = /^(REQ|RESP|TRAILER)$/;

function reason({ text, position, name, params, length, whole, envoys }: Mistake): string {
  if (name === undefined || whole === undefined) {
    const at = Buffer.byteLength(text.slice(0, position)) + 1;
    const rest = text.slice(position);
    return `expected a command operator to start at position ${at}, instead got: ${quote(rest)}`;
  }
  const got = `instead got ${quote(whole)}`;
  if (length !== undefined && !Number.isSafeInteger(Number(length))) {
    return `length must be an integer, instead got ${quote(length)}`;
  }
  if (headerCommands.test(name)) {
    const usage = `%${name}(X?Y):Z%`;
    if (!params) {
      return `command "${usage}" requires a header and optional alternative header names as its arguments, ${got}`;
    }
    if (params.split('?').length > 2) {
      return `more than 1 alternative header specified in ${quote(whole)}`;
    }
    return `header name contains a newline in ${quote(whole)}`;
  }
  if (name === 'DYNAMIC_METADATA') {
    return `command "%DYNAMIC_METADATA(NAMESPACE:KEY*):Z%" requires a filter namespace and optional path as its arguments, ${got}`;
  }
  if (name === 'FILTER_STATE' && !params) {
    return `command "%FILTER_STATE(KEY):Z%" requires a key as its argument, ${got}`;
  }
  if (name === 'START_TIME')
    return `start time format string contains a newline in ${quote(whole)}`;
  if (envoys?.includes('does not take any')) {
    return `command "%${name}%" doesn't support arguments or max length constraint, ${got}`;
  }
  return envoys ?? got;
}
