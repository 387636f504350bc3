// Certificates for tests, made on the spot: nothing expires, and any name can be put into one.

import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { mkdtemp, rename, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export type Issued = { cert: string; key: string };

export type Authority = Issued & {
  /** A certificate for names such as `DNS:localhost`, `IP:127.0.0.1`, `URI:spiffe://...`. */
  issue(names: readonly string[], commonName?: string): Issued;
};

/** A certificate authority of its own. */
export function authority(commonName = 'test authority'): Authority {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const cert = certificate({
    subject: commonName,
    issuer: commonName,
    publicKey,
    signer: privateKey,
    extensions: [extension('551d13', der(0x30, der(0x01, Buffer.from([0xff]))), true)],
  });
  return {
    cert,
    key: pem(privateKey),
    issue: (names, subject = 'test') => {
      const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      const san = extension('551d11', der(0x30, ...names.map(altName)));
      return {
        cert: certificate({
          subject,
          issuer: commonName,
          publicKey: pair.publicKey,
          signer: privateKey,
          extensions: [san],
        }),
        key: pem(pair.privateKey),
      };
    },
  };
}

export type CertificateFolder = {
  readonly directory: string;
  /** Puts a certificate and its key in place, as `NAME.crt` and `NAME.key`; returns their paths. */
  put(name: string, issued: Issued): Promise<{ cert_file: string; key_file: string }>;
  /** Puts any text in place. */
  write(file: string, text: string): Promise<string>;
};

/** A folder of certificate files. */
export async function certificateFolder(): Promise<CertificateFolder> {
  const directory = await mkdtemp(join(tmpdir(), 'meshlog-tls-'));
  const write = async (file: string, text: string): Promise<string> => {
    const path = join(directory, file);
    await writeFile(`${path}.new`, text);
    await rename(`${path}.new`, path);
    return path;
  };
  return {
    directory,
    write,
    put: async (name, issued) => ({
      cert_file: await write(`${name}.crt`, issued.cert),
      key_file: await write(`${name}.key`, issued.key),
    }),
  };
}

function certificate(options: {
  subject: string;
  issuer: string;
  publicKey: KeyObject;
  signer: KeyObject;
  extensions: Buffer[];
}): string {
  const algorithm = der(0x30, oid('2a8648ce3d040302'));
  const serial = randomBytes(12);
  serial[0] = 1;
  const body = der(
    0x30,
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, serial),
    algorithm,
    distinguished(options.issuer),
    der(0x30, der(0x17, Buffer.from('250101000000Z')), der(0x18, Buffer.from('20990101000000Z'))),
    distinguished(options.subject),
    options.publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, der(0x30, ...options.extensions)),
  );
  const signature = sign('sha256', body, options.signer);
  const whole = der(0x30, body, algorithm, der(0x03, Buffer.from([0]), signature));
  const lines = whole.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

function distinguished(commonName: string): Buffer {
  return der(0x30, der(0x31, der(0x30, oid('550403'), der(0x0c, Buffer.from(commonName)))));
}

function extension(id: string, value: Buffer, critical = false): Buffer {
  const flag = critical ? [der(0x01, Buffer.from([0xff]))] : [];
  return der(0x30, oid(id), ...flag, der(0x04, value));
}

function altName(name: string): Buffer {
  const [kind, ...rest] = name.split(':');
  const value = rest.join(':');
  if (kind === 'IP') return der(0x87, Buffer.from(value.split('.').map(Number)));
  return der(kind === 'URI' ? 0x86 : 0x82, Buffer.from(value));
}

function der(tag: number, ...parts: Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const size =
    length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

const oid = (hex: string): Buffer => der(0x06, Buffer.from(hex, 'hex'));

function pem(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}
