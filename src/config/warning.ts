// Remarks on a configuration that do not refuse it.

type Issues = {
  addIssue(issue: {
    code: 'custom';
    message: string;
    params: Record<string, unknown>;
    continue: boolean;
  }): void;
};

let muted = false;

/**
 * To be called in a refinement or transform of a schema: the user sees a warning at this field, and the configuration
 * is used all the same. `offset`: the character of the field's text that the caret shall point at.
 */
export function warn(context: Issues, message: string, offset?: number): void {
  if (muted) return;
  const params = { severity: 'warning', ...(offset === undefined ? {} : { offset }) };
  context.addIssue({ code: 'custom', message, params, continue: true });
}

/** zod knows no warnings: they are gathered as issues first, then the value is read again without them. */
export function withoutWarnings<T>(read: () => T): T {
  muted = true;
  try {
    return read();
  } finally {
    muted = false;
  }
}
