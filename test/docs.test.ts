// What README and docs say is so: configurations load, commands run, links lead somewhere.

import { spawnSync } from 'node:child_process';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { isMap, parseDocument } from 'yaml';
import { catalogue } from '../src/components.ts';
import { loadConfig } from '../src/config/load.ts';
import { commandProblem } from './support/cluster_commands.ts';

const root = resolve(import.meta.dirname, '..');
const pages = [
  'README.md',
  'CHANGELOG.md',
  ...globSync('{docs,deploy}/**/*.md', { cwd: root }),
].sort();
const text = (page: string): string => readFileSync(join(root, page), 'utf8');

type Block = { readonly language: string; readonly body: string; readonly heading: string };

/** The fenced blocks of a page, each with the headings that it stands below. */
function blocksOf(page: string): Block[] {
  const blocks: Block[] = [];
  const headings: string[] = [];
  let open: { language: string; lines: string[] } | undefined;
  for (const line of text(page).split('\n')) {
    const [, fence] = /^```(.*)$/.exec(line) ?? [];
    if (fence !== undefined && open !== undefined) {
      const heading = headings.filter(Boolean).join(' / ');
      blocks.push({ language: open.language, body: `${open.lines.join('\n')}\n`, heading });
      open = undefined;
    } else if (fence !== undefined) open = { language: fence, lines: [] };
    else if (open !== undefined) open.lines.push(line);
    else {
      const [, marks = '', title = ''] = /^(#+) (.*)$/.exec(line) ?? [];
      if (marks !== '') headings.splice(marks.length - 1, headings.length, title);
    }
  }
  return blocks;
}

const sections = ['receivers', 'processors', 'exporters'];

/** A whole configuration around a snippet: sections that it lacks, and a pipeline of all that it has. */
function wholeOf({ body, heading }: Block): string | undefined {
  const keysOf = (source: string): string[] => {
    const { contents } = parseDocument(source, { merge: true });
    return isMap(contents) ? contents.items.map(({ key }) => String(key)) : [];
  };
  const keys = keysOf(body);
  if (keys.includes('service')) return body;
  const [, section, name] = /\/ (receivers|processors|exporters) \/ (\w+)$/.exec(heading) ?? [];
  const snippet = keys.some((key) => sections.includes(key))
    ? body
    : name !== undefined
      ? `${section}:\n${body.replace(/^/gm, '  ')}\n`
      : undefined;
  if (snippet === undefined) return undefined;
  const has = keysOf(snippet);
  const lists = sections.map((one) => {
    const node = parseDocument(snippet, { merge: true }).get(one);
    const ids = isMap(node) ? node.items.map(({ key }) => String(key)) : [];
    return `${one}: [${ids.length > 0 ? ids.join(', ') : one === 'processors' ? '' : 'nop'}]`;
  });
  const rest = ['receivers', 'exporters'].filter((one) => !has.includes(one));
  const added = rest.map((one) => `${one}: { nop: }\n`).join('');
  return `${snippet}${added}service: { pipelines: { logs: { ${lists.join(', ')} } } }\n`;
}

/** YAML that is no configuration of meshlog. */
const foreign = ['# kustomization.yaml', '# yaml-language-server'];

describe.each(pages)('%s', (page) => {
  const blocks = blocksOf(page);

  test('every YAML block is a configuration that loads', () => {
    for (const block of blocks.filter(({ language }) => language === 'yaml')) {
      if (foreign.some((start) => block.body.startsWith(start))) continue;
      const whole = wholeOf(block);
      expect(whole, `${block.heading}\n${block.body}`).toBeDefined();
      const source = { file: page, text: whole!, directory: root };
      const { problems } = loadConfig([source], catalogue, {});
      expect(
        problems.map(({ message }) => message),
        block.body,
      ).toEqual([]);
    }
  });

  test('every link leads to a file', () => {
    const body = text(page).replace(/```[\s\S]*?```/g, '');
    for (const [, target = ''] of body.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https:\/\//.test(target)) continue;
      const [path = '', anchor] = target.split('#');
      const file = path === '' ? join(root, page) : join(root, dirname(page), path);
      expect(existsSync(file), target).toBe(true);
      if (anchor === undefined) continue;
      const titles = [...readFileSync(file, 'utf8').matchAll(/^#+ (.*)$/gm)].map(([, title = '']) =>
        title
          .toLowerCase()
          .replace(/[^\w -]/g, '')
          .replaceAll(' ', '-'),
      );
      expect(titles, target).toContain(anchor);
    }
  });

  test('what stands below a command is what it prints', () => {
    for (const [index, { language, body }] of blocks.entries()) {
      const before = blocks[index - 1];
      const command = before?.language === 'sh' ? before.body.trim().split('\n').at(-1) : undefined;
      if (language !== 'text' || !command?.startsWith(call)) continue;
      expect(
        spawnSync('sh', ['-ec', runnable(command)], { cwd: root, encoding: 'utf8' }).stdout,
      ).toBe(body);
    }
  });

  const lines = blocks
    .filter(({ language }) => language === 'sh')
    .flatMap(({ body }) => body.trim().split('\n'));
  if (lines.length === 0) return;

  test.each(lines)('%s', (line) => {
    // These run this very test.
    if (/^npm ci && npm (start|test)$/.test(line)) return;
    const needsMore = /^(kubectl|docker|helm|curl) /.test(line);
    if (needsMore) expect(commandProblem(line.split(' | ')[0]!)).toBe('');
    const isOurs = line.includes(call);
    expect(needsMore || isOurs, 'a command that this test knows').toBe(true);
    if (!isOurs) return;
    const command = runnable(needsMore ? line.slice(line.indexOf(call)) : line);
    const { status, stderr, stdout } = spawnSync('sh', ['-ec', command], {
      cwd: root,
      encoding: 'utf8',
      input: needsMore ? stdinOf(line) : '',
    });
    expect(stderr).not.toMatch(/\berror\b/i);
    expect(status, stderr).toBe(0);
    expect(stdout).not.toBe('');
  });
});

/** The program in a clone, and the same without npm around it. */
const call = 'npm run -s meshlog --';
const runnable = (command: string): string =>
  command.replace(call, `"${process.execPath}" src/main.ts`);

/** In the place of a proxy or an API. */
function stdinOf(line: string): string {
  if (!line.includes('als_json')) return text('docs/examples/istio_text.log');
  const entry = { common_properties: { start_time: '2026-08-21T10:00:00Z' } };
  return `${JSON.stringify({ result: { httpAccessLog: entry } })}\n`;
}

test('every line of the comparison says where it can be looked up, for both sides', () => {
  const [, section = ''] = text('README.md').split('## Compared with others');
  const rows = [...section.split('## ')[0]!.matchAll(/^\| (?!\|)(?!-)(.+) \|$/gm)];
  const cells = rows.map(([, row = '']) => row.split(' | ')).filter(([first]) => first !== '');
  expect(cells.length).toBeGreaterThan(6);
  for (const [what, ours = '', others = ''] of cells) {
    expect(ours, what).toMatch(/\]\((test|bench|deploy)\//);
    expect(others, what).toMatch(/\]\(https:\/\//);
  }
});

test('the examples, the ready pipelines and config.example.yaml have no problems', () => {
  const files = globSync(['config.example.yaml', 'pipelines/*.yaml', 'docs/examples/*.yaml'], {
    cwd: root,
  });
  expect(files.length).toBeGreaterThan(3);
  for (const file of files) {
    const source = { file, text: text(file), directory: root };
    const { problems } = loadConfig([source], catalogue, {});
    expect(
      problems.map(({ message }) => message),
      file,
    ).toEqual([]);
  }
});

test("the README's pipeline is the example that its commands run", () => {
  const [whole] = blocksOf('README.md').filter(({ body }) => body.includes('stdin:'));
  const bare = (yaml: string): string =>
    yaml
      .split('\n')
      .filter((line) => line.trim() !== '' && !line.startsWith('#'))
      .join('\n');
  expect(bare(whole!.body)).toBe(bare(text('docs/examples/errors.yaml')));
});

test.each([
  ['helm upgrade x -f deploy/istio/values.yaml', 'there is no deploy/istio/values.yaml'],
  ['kubectl apply -k deploy/meshes', 'deploy/meshes is no kustomization'],
  ['kubectl -n meshlog logs ds/meshlog-gateway', 'there is no ds/meshlog-gateway'],
  ['kubectl -n other logs ds/meshlog-agent', 'ds/meshlog-agent is not in the namespace other'],
  [
    'kubectl -n meshlog port-forward svc/meshlog-gateway 5171',
    'svc/meshlog-gateway has no port 5171',
  ],
  ['docker run -v x:/var/lib/meshlogs meshlog', 'the image has no /var/lib/meshlogs'],
])('%s is seen to be wrong', (command, problem) => {
  expect(commandProblem(command)).toBe(problem);
});
