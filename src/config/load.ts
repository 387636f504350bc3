// `--config` -> what shall run, typed and frozen, or everything that is wrong, all at once.

import type { Catalogue, Config } from './config.ts';
import { type Environment, expandTree } from './expand.ts';
import { Findings } from './findings.ts';
import { formatProblems, formatRefusal, type Problem } from './problem.ts';
import { readText, type Source, startOf } from './source.ts';
import { isEmpty, type MapTree, mapTree, mergeTrees, type Tree } from './tree.ts';
import { readWhole } from './whole.ts';
import { parseYaml } from './yaml.ts';

export type ReadConfig = {
  /** Undefined when it cannot be used. */
  readonly config: Config | undefined;
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
  /** Problems and warnings as the user shall see them; empty: nothing to say. */
  readonly report: string;
  /** All files that it was read from, those of `${file:...}` included: what a watcher watches. */
  readonly files: readonly string[];
};

/** Each location is a file, `file:path`, `env:NAME` or `yaml:...`; several are merged, later ones win. */
export function readConfig(
  locations: readonly string[],
  catalogue: Catalogue,
  env: Environment,
  terminal?: NodeJS.WriteStream,
): ReadConfig {
  const read = locations.map((location) => readLocation(location, env));
  const unread = read.filter((one): one is Problem => 'message' in one);
  const sources = read.filter((one): one is Source => 'text' in one);
  // What is missing from the files that could be read may stand in the one that could not.
  const loaded = unread.length > 0 ? nothing : loadConfig(sources, catalogue, env);
  const problems = unread.length > 0 ? unread : loaded.problems;
  const files = sources.filter(({ directory }) => directory === undefined).map(({ file }) => file);
  return {
    ...loaded,
    problems,
    report: reportOf({ problems, warnings: loaded.warnings }, terminal),
    files: [...files, ...loaded.included],
  };
}

const nothing: Loaded = { config: undefined, problems: [], warnings: [], included: [] };

function readLocation(location: string, env: Environment): Source | Problem {
  const directory = process.cwd();
  if (location.startsWith('yaml:')) {
    return { file: 'yaml:', text: location.slice(5), directory, delimited: true };
  }
  if (location.startsWith('env:')) {
    const name = location.slice(4);
    const text = Object.hasOwn(env, name) ? env[name] : undefined;
    return text === undefined
      ? unreadable(location, 'cannot be read: the environment variable is not set')
      : { file: location, text, directory };
  }
  const file = location.replace(/^file:/, '');
  const result = readText(file);
  return 'why' in result ? unreadable(file, result.why) : { file, text: result.text };
}

const unreadable = (file: string, message: string): Problem => ({
  file,
  line: 0,
  column: 0,
  message,
});

function reportOf(
  { problems, warnings }: Pick<ReadConfig, 'problems' | 'warnings'>,
  stream?: NodeJS.WriteStream,
): string {
  const look = stream === undefined ? {} : { stream };
  const warned = formatProblems(warnings, { ...look, warning: true });
  return problems.length === 0 ? warned : warned + formatRefusal(problems, look);
}

export type Loaded = {
  /** Undefined when there is a problem. */
  readonly config: Config | undefined;
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
  /** What `${file:...}` brought in: files that a watcher has to watch besides the sources. */
  readonly included: readonly string[];
};

/** Several sources are merged in their order: maps merge, lists and values are replaced by the later. */
export function loadConfig(
  sources: readonly Source[],
  catalogue: Catalogue,
  env: Environment,
): Loaded {
  const findings = new Findings(sources);
  const included = new Set<string>();
  const root = readTree(sources, findings);
  const expanded =
    root === undefined
      ? undefined
      : expandTree(root, { env, findings, include: (path) => included.add(path) });
  const config =
    expanded?.kind === 'map' && sources[0] !== undefined
      ? readWhole(expanded, catalogue, { findings, first: sources[0] })
      : undefined;
  return {
    config,
    problems: findings.problems('error'),
    warnings: findings.problems('warning'),
    included: [...included],
  };
}

function readTree(sources: readonly Source[], findings: Findings): Tree | undefined {
  const trees = sources.map((source) => readSource(source, findings));
  const [first, ...rest] = trees;
  return rest.reduce(
    (earlier, later) => (earlier && later ? mergeTrees(earlier, later) : undefined),
    first,
  );
}

function readSource(source: Source, findings: Findings): Tree | undefined {
  const tree = parseYaml(source, (place, message) => findings.problem(place, message));
  if (tree === undefined) return undefined;
  if (tree.kind === 'map') return source.delimited ? splitKeys(tree) : tree;
  const what = isEmpty(tree) ? 'empty configuration' : 'not a configuration';
  const message = `${what}: expected a map with receivers, exporters and service`;
  findings.problem(startOf(source), message);
  return undefined;
}

/** `exporters::otlp::timeout: 3s` is short for the nested maps. */
function splitKeys(tree: MapTree): Tree {
  let whole: Tree = mapTree(tree.place);
  for (const [name, { key, value }] of tree.entries) {
    const nest = (inner: Tree, step: string): Tree => mapTree(key, [[step, { key, value: inner }]]);
    whole = mergeTrees(whole, name.split('::').reduceRight(nest, value));
  }
  return whole;
}
