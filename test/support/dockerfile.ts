// A Dockerfile as data: enough of its grammar to check ours and to carry its steps out in folders.

export type Step = {
  /** In capitals: COPY, RUN, ENV. */
  readonly name: string;
  /** What follows, continued lines joined. */
  readonly text: string;
  /** The text in words, or the items of its JSON form. */
  readonly words: readonly string[];
  readonly line: number;
};

export type Stage = {
  readonly image: string;
  readonly name: string | undefined;
  readonly steps: readonly Step[];
};

/** The stages of a Dockerfile in their order. Throws at a step before the first FROM. */
export function readDockerfile(text: string): Stage[] {
  const stages: (Stage & { steps: Step[] })[] = [];
  for (const step of stepsOf(text)) {
    if (step.name === 'FROM') {
      const [image = '', as, name] = step.words;
      stages.push({ image, name: as?.toUpperCase() === 'AS' ? name : undefined, steps: [] });
      continue;
    }
    const stage = stages.at(-1);
    if (stage === undefined) throw new Error(`line ${step.line}: ${step.name} before FROM`);
    stage.steps.push(step);
  }
  return stages;
}

function stepsOf(text: string): Step[] {
  const steps: Step[] = [];
  let open: { first: number; text: string } | undefined;
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    const begun = open ?? { first: index + 1, text: '' };
    begun.text += line.endsWith('\\') ? `${line.slice(0, -1).trim()} ` : line;
    if (line.endsWith('\\')) open = begun;
    else {
      steps.push(stepOf(begun.text, begun.first));
      open = undefined;
    }
  }
  return steps;
}

function stepOf(line: string, number: number): Step {
  const [, name = '', text = ''] = /^(\w+)\s+(.*)$/.exec(line) ?? [];
  const words: string[] = text.startsWith('[') ? JSON.parse(text) : text.split(/\s+/);
  return { name: name.toUpperCase(), text, words, line: number };
}

export type Copy = {
  /** The stage that is copied from; undefined: the build context. */
  readonly from: string | undefined;
  readonly sources: readonly string[];
  readonly target: string;
};

/** What a COPY step says. */
export function copyOf({ words }: Step): Copy {
  const flag = words.find((word) => word.startsWith('--from='));
  const paths = words.filter((word) => !word.startsWith('--'));
  return {
    from: flag?.slice('--from='.length),
    sources: paths.slice(0, -1),
    target: paths.at(-1) ?? '',
  };
}

/** Whether a path (or what it lies in) reaches the build context; the last rule that fits decides. */
export function inContext(path: string, dockerignore: string): boolean {
  let visible = true;
  for (const line of dockerignore.split('\n')) {
    const rule = line.trim();
    if (rule === '' || rule.startsWith('#')) continue;
    const shown = rule.startsWith('!');
    const pattern = rule.replace(/^!/, '').replace(/^\/|\/$/g, '');
    if (fits(path, pattern)) visible = shown;
  }
  return visible;
}

function fits(path: string, pattern: string): boolean {
  const source = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('**', '\u0000')
    .replaceAll('*', '[^/]*')
    .replaceAll('?', '[^/]')
    .replaceAll('\u0000', '.*');
  return new RegExp(`^${source}(/|$)`).test(path);
}
