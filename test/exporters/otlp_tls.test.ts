import { ServerCredentials } from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from 'vitest';
import { otlp } from '../../src/exporters/otlp/otlp.ts';
import { Batch } from '../../src/pipeline/batch.ts';
import { testContext } from '../support/collect.ts';
import { grpcSink, httpSink } from '../support/otlp.ts';
import { authority, certificateFolder } from '../support/tls.ts';

const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

const ca = authority();
const stranger = authority('somebody else');

/** Starts an exporter and returns how a delivery ends: `ok`, or why not. */
async function outcome(
  settings: object,
  baseDirectory: string,
  now = Date.now,
): Promise<() => Promise<string>> {
  const exporter = otlp.create(otlp.config.parse(settings), testContext({ baseDirectory, now }));
  await exporter.start?.();
  open.push(() => exporter.stop());
  return () =>
    exporter.export(Batch.ofLines(['x']), AbortSignal.timeout(3000)).then(
      () => 'ok',
      (error: Error) => String((error.cause as Error).message),
    );
}

async function server(protocol: string, names: string[], mutual = true): Promise<number> {
  const { cert, key } = ca.issue(names);
  const tls = { cert, key, ...(mutual ? { ca: ca.cert, requestCert: true } : {}) };
  const sink =
    protocol === 'grpc'
      ? await grpcSink({
          credentials: ServerCredentials.createSsl(
            Buffer.from(ca.cert),
            [{ private_key: Buffer.from(key), cert_chain: Buffer.from(cert) }],
            mutual,
          ),
        })
      : await httpSink({ tls: { ...tls, rejectUnauthorized: mutual } });
  open.push(() => sink.close());
  return sink.port;
}

describe.each(['grpc', 'http/protobuf'])('otlp over %s with TLS', (protocol) => {
  test('shows its certificate and checks that of the server', async () => {
    const folder = await certificateFolder();
    const own = await folder.put('client', ca.issue(['DNS:client']));
    await folder.write('ca.crt', ca.cert);
    await folder.write('other.crt', stranger.cert);
    const port = await server(protocol, ['DNS:localhost', 'IP:127.0.0.1']);
    const settings = { protocol, endpoint: `localhost:${port}` };
    const tls = { ca_file: 'ca.crt', ...own };
    const end = async (changes: object): Promise<string> =>
      (await outcome({ ...settings, tls: { ...tls, ...changes } }, folder.directory))();
    expect(await end({})).toBe('ok');
    expect(
      await (
        await outcome({ protocol, endpoint: `https://127.0.0.1:${port}`, tls }, folder.directory)
      )(),
    ).toBe('ok');
    expect(await end({ ca_file: 'other.crt' })).not.toBe('ok');
    expect(await end({ ca_file: 'other.crt', insecure_skip_verify: true })).toBe('ok');
    expect(await end({ cert_file: undefined, key_file: undefined })).not.toBe('ok');
    expect(await end({ server_name_override: 'elsewhere' })).not.toBe('ok');
    expect(await (await outcome(settings, folder.directory))()).not.toBe('ok');
  });

  test('finds the server under another name', async () => {
    const folder = await certificateFolder();
    await folder.write('ca.crt', ca.cert);
    const port = await server(protocol, ['DNS:collector.obs'], false);
    const settings = { protocol, endpoint: `127.0.0.1:${port}` };
    const tls = { ca_file: 'ca.crt' };
    expect(await (await outcome({ ...settings, tls }, folder.directory))()).not.toBe('ok');
    const named = { ...tls, server_name_override: 'collector.obs' };
    expect(await (await outcome({ ...settings, tls: named }, folder.directory))()).toBe('ok');
  });

  test('takes new certificates without a restart', async () => {
    const folder = await certificateFolder();
    await folder.write('ca.crt', ca.cert);
    const old = await folder.put('client', stranger.issue(['DNS:client']));
    const port = await server(protocol, ['DNS:localhost']);
    let now = 0;
    const settings = {
      protocol,
      endpoint: `localhost:${port}`,
      tls: { ca_file: 'ca.crt', ...old },
    };
    const end = await outcome(settings, folder.directory, () => now);
    expect(await end()).not.toBe('ok');
    await folder.put('client', ca.issue(['DNS:client']));
    now += 31_000;
    expect(await end()).toBe('ok');
    await folder.write('client.crt', 'half a file');
    now += 31_000;
    expect(await end()).toBe('ok');
  });

  test('says at the start which file cannot be used', async () => {
    const folder = await certificateFolder();
    const settings = { protocol, endpoint: 'localhost', tls: { ca_file: 'missing.crt' } };
    await expect(outcome(settings, folder.directory)).rejects.toThrow('missing.crt');
  });
});
