import { describe, expect, test } from 'vitest';
import { compileCel } from '../../../../src/access_log/filter/cel/cel.ts';
import { CelError } from '../../../../src/access_log/filter/cel/problem.ts';
import { batchOf, type PlainRecord } from '../records.ts';

const record: PlainRecord = {
  'request.time': '2026-08-21T10:00:00.123456Z',
  'request.method': 'GET',
  'request.path': '/api/v1beta3/users?limit=10&q=a?b#top',
  'request.host': 'reviews:9080',
  'request.id': '5f1ee8bd-0000-4000-8000-000000000000',
  'request.duration': 1500,
  'request.size': 100,
  'request.headers_size': 23,
  'request.headers.x-foo': 'bar',
  'request.headers.x-count': 7,
  'response.code': 503,
  'response.flags': ['UF', 'URX'],
  'response.size': 0,
  'response.grpc_status': 'Unavailable',
  'response.headers.content-type': 'text/plain',
  'source.address': '10.0.0.1:41234',
  'destination.address': '[2001:db8::1]:443',
  'upstream.address': '/run/socket',
  'connection.uri_san_peer_certificate': 'spiffe://mesh/ns/a/sa/b,spiffe://other',
  'xds.cluster_name': 'outbound|9080||reviews.default.svc.cluster.local',
  'mesh.direction': 'outbound',
  'mesh.source.service': 'productpage',
  'metadata.envoy.filters.http.rbac': { policy: { id: 'p1', shadow: true }, tries: 3 },
  'filter_state.x-origin': 'o',
  'my.key': 'mine',
};

const truths: readonly (readonly [string, boolean | 'error'])[] = [
  ['response.code >= 400', true],
  ['response.code == 503u', true],
  ['response.code / 100 == 5', true],
  ['response.code % 100 == 3 && -response.code < 0', true],
  ['response.code > 503.0', false],
  ['response.code in [500, 503]', true],
  ['!(response.code in [500, 502])', true],
  ['400 <= response.code && response.code < 600', true],
  // Durations compare with durations and, in milliseconds, with numbers.
  ['duration > duration("1s")', true],
  ['request.duration == duration("1.5s")', true],
  ['request.duration > 1000', true],
  ['request.duration - duration("500ms") == duration("1s")', true],
  ['duration("1h30m") == duration("90m")', true],
  // Names that Envoy derives.
  ['request.url_path == "/api/v1beta3/users"', true],
  ['request.url_path.contains("v1beta3")', true],
  ['request.query == "limit=10&q=a?b"', true],
  ['request.total_size == 123', true],
  ['source.port == 41234', true],
  ['destination.port == 443', true],
  ['upstream.port == 443', 'error'],
  ['has(upstream.port)', false],
  ['connection.mtls', true],
  ['connection.mtls && request.url_path.contains("v1beta3")', true],
  ['connection.uri_san_peer_certificate == "spiffe://mesh/ns/a/sa/b"', true],
  ['connection.requested_server_name == ""', true],
  ['has(connection.requested_server_name)', false],
  ['xds.listener_direction == 2', true],
  // Headers: any case, with their own row or not.
  ['request.headers["x-foo"] == "bar"', true],
  ['request.headers["X-Foo"] == "bar"', true],
  ['request.headers["x-count"] == "7"', true],
  ['int(request.headers["x-count"]) > 6', true],
  ['request.headers[":method"] == "GET"', true],
  ['request.headers[":authority"].startsWith("reviews")', true],
  ['response.headers[":status"] == "503"', true],
  ['"x-foo" in request.headers', true],
  ['"x-bar" in request.headers', false],
  ['request.headers["x-bar"] == "bar"', 'error'],
  ['has(request.headers["x-foo"])', true],
  ['request.headers.exists(h, h == "x-foo")', true],
  ['size(request.headers) == 2', true],
  // Flags: a bit mask or a list, as their use asks.
  ['"UF" in response.flags', true],
  ['"NR" in response.flags', false],
  ['response.flags == 32800', true],
  ['response.flags != 0', true],
  ['response.flags / 32 % 2 == 1', true],
  ['size(response.flags) == 2', true],
  ['response.flags.exists(f, f.startsWith("UR"))', true],
  ['response.flags == ["UF", "URX"]', true],
  ['has(response.flags)', true],
  ['response.grpc_status == 14', true],
  ['response.grpc_status == "Unavailable"', true],
  // Absent fields: an error, which || and && absorb.
  ['request.useragent == "x"', 'error'],
  ['has(request.useragent)', false],
  ['!has(request.useragent) || request.useragent == "x"', true],
  ['request.useragent == "x" || response.code == 503', true],
  ['response.code == 503 || request.useragent == "x"', true],
  ['request.useragent == "x" && response.code == 200', false],
  ['request.useragent == "x" || response.code == 200', 'error'],
  ['!(request.useragent == "x")', 'error'],
  ['has(request.useragent) ? request.useragent == "x" : true', true],
  // Maps of other things.
  ['metadata["envoy.filters.http.rbac"]["policy"]["id"] == "p1"', true],
  ['metadata.filter_metadata["envoy.filters.http.rbac"].policy.shadow', true],
  ['metadata["envoy.filters.http.rbac"].tries + 1 == 4', true],
  ['metadata["nothing"].x == 1', 'error'],
  ['has(metadata["envoy.filters.http.rbac"].policy.nope)', false],
  ['filter_state["x-origin"] == "o"', true],
  ['attributes["my.key"] == "mine"', true],
  ['attributes["response.code"] == 503', true],
  ['attributes["no.such"] == "mine"', 'error'],
  ['resource["k8s.pod.name"] == "p-1"', true],
  ['k8s.pod.name.startsWith("p-")', true],
  ['log.file.path == "/var/log/x.log"', true],
  ['mesh.source.service == "productpage"', true],
  ['body == ""', 'error'],
  // The language.
  ['request.path.matches("^/api/v[0-9]+beta[0-9]/")', true],
  ['matches(request.method, "^(GET|HEAD)$")', true],
  ['request.method.lowerAscii() == "get"', true],
  ['request.method + request.host == "GETreviews:9080"', true],
  ['request.method < "HEAD"', true],
  ['request.method in ["GET", "HEAD"]', true],
  ['request.method == request.host', false],
  ['size(request.method) == 3', true],
  ['request.time > timestamp("2026-08-21T09:59:59Z")', true],
  ['request.time.getHours() == 10', true],
  ['request.time.getHours("Europe/Berlin") == 12', true],
  ['request.time - timestamp("2026-08-21T10:00:00Z") < duration("1s")', true],
  ['timestamp("2026-08-21T10:00:00Z").getMonth() == 7', true],
  ['[1, 2, 3].all(x, x > 0) && [1, 2].exists_one(x, x == 2)', true],
  ['[1, 2, 3].filter(x, x > 1).map(x, x * 2) == [4, 6]', true],
  ['{"a": 1, "b": 2}["b"] == 2', true],
  ['cel.bind(x, response.code, x > 500 && x < 504)', true],
  ['1 == 1.0 && 2 > 1.5 && "a" + "b" == "ab"', true],
  ['1 / 0 == 1', 'error'],
  ['int("12") == 12 && string(12) == "12" && double("1.5") == 1.5', true],
  ['true', true],
];

for (const form of ['spans', 'held'] as const) {
  describe(`cel over ${form}`, () => {
    const batch = batchOf([record], form);
    batch.resource = { 'k8s.pod.name': 'p-1' };
    batch.attributes = { 'log.file.path': '/var/log/x.log' };
    for (const [expression, expected] of truths) {
      test(expression, () => {
        const program = compileCel(expression, { wantsTruth: true });
        program.bind(batch);
        expect([false, true, 'error'][program.test(0)]).toBe(expected);
      });
    }
  });
}

const refused: readonly (readonly [string, number, string])[] = [
  ['respnse.code >= 400', 0, 'unknown name "respnse.code"; did you mean "response.code"?'],
  [
    'true && request.usragent == "x"',
    8,
    'unknown name "request.usragent"; did you mean "request.useragent"?',
  ],
  ['response >= 400', 0, '"response" is a group of fields, not a value'],
  ['response.code == "200"', 0, 'cannot compare int with string by ==; write 200 without quotes'],
  ['request.duration > "1s"', 0, 'cannot compare duration with string by >; write duration("1s")'],
  [
    'response.flags == "UF"',
    0,
    "cannot compare list with string by ==; write 'UF' in response.flags",
  ],
  ['response.code', 0, 'gives int, not true or false'],
  ['response.code || true', 0, '|| needs true or false, got int'],
  ['!request.method', 1, '! needs true or false, got string'],
  ['response.code = 400', 14, 'unexpected character: ='],
  ['(+++', 1, 'unexpected token: PLUS'],
  ['f()', 0, 'unknown function f()'],
  ['request.path.startwith("/")', 0, 'unknown function .startwith(); did you mean "startsWith"?'],
  ['response.code.startsWith("5")', 0, '.startsWith() does not take int, string'],
  ['request.path.matches("(a")', 21, 'bad regular expression "(a": missing )'],
  [
    'request.path.matches(request.host)',
    0,
    'matches() needs a regular expression that is a constant text',
  ],
  ['duration("1 second") < duration', 9, 'duration() cannot read "1 second"'],
  ['request.method + 1 == "x"', 0, 'cannot compute string + int'],
  ['"a" in response.code', 7, '"in" needs a list or a map, got int'],
  ['has(1)', 0, 'has() needs a field, such as has(request.useragent)'],
];

for (const [expression, offset, message] of refused) {
  test(`cel refuses ${expression}`, () => {
    let problem: unknown;
    try {
      compileCel(expression, { wantsTruth: true });
    } catch (error) {
      problem = error;
    }
    expect(problem).toBeInstanceOf(CelError);
    expect(problem).toMatchObject({ offset, message });
  });
}

test('cel as Envoy has it takes wrong names and types as errors of evaluation', () => {
  for (const expression of ['foo["test"]', 'response.code == "503"', 'nope || false']) {
    const program = compileCel(expression, { wantsTruth: true, lenient: true });
    program.bind(batchOf([record]));
    expect(program.test(0)).toBe(2);
    expect(program.warnings).toHaveLength(1);
  }
  const program = compileCel('nope || response.code == 503', { lenient: true });
  program.bind(batchOf([record]));
  expect(program.test(0)).toBe(1);
  expect(() => compileCel('f()', { lenient: true })).toThrow('unknown function');
});

test('cel reads the line of a record that nobody has parsed', () => {
  const batch = batchOf([{ 'request.method': 'GET' }]);
  batch.body = undefined;
  const program = compileCel('body.contains("ET")');
  program.bind(batch);
  expect(program.test(0)).toBe(1);
});

test('cel reads resources of a merged batch row by row', () => {
  const batch = batchOf([{ a: '1' }, { a: '2' }]);
  batch.resources = [{ 'k8s.pod.name': 'p' }, { 'k8s.pod.name': 'q' }];
  batch.resourceOf = new Uint16Array([0, 1]);
  const program = compileCel('k8s.pod.name == "q"');
  program.bind(batch);
  expect([program.test(0), program.test(1)]).toEqual([0, 1]);
});
