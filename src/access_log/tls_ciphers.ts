// TLS cipher suites by their number, under the names that %DOWNSTREAM_TLS_CIPHER% prints.

const names = new Map<number, string>([
  [0x000a, 'DES-CBC3-SHA'],
  [0x002f, 'AES128-SHA'],
  [0x0035, 'AES256-SHA'],
  [0x003c, 'AES128-SHA256'],
  [0x009c, 'AES128-GCM-SHA256'],
  [0x009d, 'AES256-GCM-SHA384'],
  [0x008c, 'PSK-AES128-CBC-SHA'],
  [0x008d, 'PSK-AES256-CBC-SHA'],
  [0x1301, 'TLS_AES_128_GCM_SHA256'],
  [0x1302, 'TLS_AES_256_GCM_SHA384'],
  [0x1303, 'TLS_CHACHA20_POLY1305_SHA256'],
  [0xc009, 'ECDHE-ECDSA-AES128-SHA'],
  [0xc00a, 'ECDHE-ECDSA-AES256-SHA'],
  [0xc013, 'ECDHE-RSA-AES128-SHA'],
  [0xc014, 'ECDHE-RSA-AES256-SHA'],
  [0xc023, 'ECDHE-ECDSA-AES128-SHA256'],
  [0xc027, 'ECDHE-RSA-AES128-SHA256'],
  [0xc02b, 'ECDHE-ECDSA-AES128-GCM-SHA256'],
  [0xc02c, 'ECDHE-ECDSA-AES256-GCM-SHA384'],
  [0xc02f, 'ECDHE-RSA-AES128-GCM-SHA256'],
  [0xc030, 'ECDHE-RSA-AES256-GCM-SHA384'],
  [0xc035, 'ECDHE-PSK-AES128-CBC-SHA'],
  [0xc036, 'ECDHE-PSK-AES256-CBC-SHA'],
  [0xcca8, 'ECDHE-RSA-CHACHA20-POLY1305'],
  [0xcca9, 'ECDHE-ECDSA-CHACHA20-POLY1305'],
  [0xccac, 'ECDHE-PSK-CHACHA20-POLY1305'],
]);

/** What Envoy sends while no cipher has been agreed upon. */
const noCipher = 0xffff;

/** The name of a cipher suite; one without a known name is its number (`0xc0ff`); undefined: there is none. */
export function cipherName(id: number): string | undefined {
  if (id === 0 || id === noCipher) return undefined;
  return names.get(id) ?? `0x${id.toString(16)}`;
}
