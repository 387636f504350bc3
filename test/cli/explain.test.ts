import { Command } from 'commander';
import { expect, test } from 'vitest';
import { flagTable } from '../../src/access_log/flags.ts';
import { explainCommand, explanationOf } from '../../src/cli/explain.ts';

test('explain says what each flag means and where to look', async () => {
  expect((await explanationOf(['UF,URX'])).text).toBe(
    [
      'UF   UpstreamConnectionFailure   the proxy could not connect to the chosen endpoint (503)',
      'URX  UpstreamRetryLimitExceeded  every retry or connection attempt that the route allows failed too',
      "Look at: upstream.transport_failure_reason, the endpoint's listening port, network policies, mTLS mode of both sides.",
      '',
    ].join('\n'),
  );
});

test('explain takes flags in any spelling', async () => {
  const { text } = await explanationOf(['uh', 'UpstreamOverflow']);
  expect(text).toMatch(/^UH .*\nUO .*\nLook at: /);
});

test('explain lists every flag when nothing is asked', async () => {
  const { text, problem } = await explanationOf([]);
  expect(text.trim().split('\n')).toHaveLength(flagTable.length);
  expect(problem).toBeUndefined();
});

for (const [given, said] of [
  ['via_upstream', 'the upstream itself gave this answer'],
  ['TLS error: Secret is not supplied by SDS', 'the proxy has no certificate yet'],
  ['delayed_connect_error:_111', 'connection refused: nothing listens on the upstream'],
] as const) {
  test(`explain finds the cause in ${given}`, async () => {
    const { text, problem } = await explanationOf(given.split(' '));
    expect(text).toContain(`${given}\n`);
    expect(text).toContain(said);
    expect(problem).toBeUndefined();
  });
}

test('explain says what it does not know, and still what it does', async () => {
  const { text, problem } = await explanationOf(['UF,XX']);
  expect(text).toContain('UpstreamConnectionFailure');
  expect(problem).toMatch(/^cannot explain XX: /);
});

test('explain exits with 1 when something is unknown', async () => {
  const codes: number[] = [];
  const program = new Command();
  explainCommand(program, (code) => codes.push(code));
  await program.parseAsync(['node', 'meshlog', 'explain', 'nonsense']);
  await program.parseAsync(['node', 'meshlog', 'explain', 'DC']);
  expect(codes).toEqual([1, 0]);
});
