// Lines over TCP or a unix socket.

import { z } from 'zod';
import { bytes, duration, endpoint, tlsServer } from '../../config/fields.ts';
import { receiver } from '../../pipeline/component.ts';
import { areProven, spiffeIds, unproven } from '../../wire/spiffe.ts';
import { TcpReceiver } from './listener.ts';

const config = z
  .strictObject({
    endpoint: endpoint()
      .prefault('127.0.0.1:5170')
      .describe('Where to listen: host:port, or unix:/path. `:5170` means every interface.'),
    socket_mode: z
      .string()
      .regex(/^0?[0-7]{3}$/, 'expected an octal mode such as 0660')
      .default('0600')
      .describe('Permissions of a unix socket.'),
    framing: z
      .enum(['newline', 'octet_counted', 'auto'])
      .default('newline')
      .describe(
        'newline: a record a line. octet_counted: `LENGTH SPACE RECORD` (RFC 6587). auto: octet_counted when the ' +
          'first bytes of a connection are such a length, newline otherwise.',
      ),
    line_bytes_max: bytes()
      .refine((size) => size >= 64, 'line_bytes_max must be at least 64')
      .prefault('1MiB')
      .describe('Longest record.'),
    line_too_long: z
      .enum(['split', 'truncate', 'drop'])
      .default('split')
      .describe('A longer one becomes several records, loses its end, or is dropped and counted.'),
    partial_bytes_max: bytes()
      .prefault('16MiB')
      .describe(
        'Unfinished lines of all connections together. Beyond it the longest counts as too long.',
      ),
    linger: duration()
      .refine((ms) => ms > 0, 'linger must be positive')
      .prefault('100ms')
      .describe('The longest that a line waits for others to make a batch.'),
    max_connections: z
      .number()
      .int()
      .min(1)
      .default(10_000)
      .describe('Further connections are closed at once and counted.'),
    idle_timeout: duration()
      .prefault('0')
      .describe(
        'A connection that is silent for so long is closed. 0: never; TCP keepalive finds dead peers.',
      ),
    add_attributes: z
      .boolean()
      .default(true)
      .describe('Adds net.transport, net.peer.ip, net.peer.port, net.host.ip and net.host.port.'),
    tls: tlsServer().optional().describe('TLS. Absent: plain text.'),
    allowed_spiffe_ids: spiffeIds(),
  })
  .refine(({ allowed_spiffe_ids, tls }) => areProven(allowed_spiffe_ids, [tls]), unproven);

export type TcpConfig = z.output<typeof config>;

export const tcp = receiver({
  name: 'tcp',
  summary: 'Takes lines over TCP or a unix socket, plain or with TLS.',
  config,
  example: `tcp:
  endpoint: 0.0.0.0:5170
  tls: { cert_file: server.crt, key_file: server.key }`,
  notes: `While the pipeline cannot take more, connections are not read: the peers' TCP windows fill up and they wait.
Plain TCP knows no acknowledgement: what a peer has sent and this process has not read when it ends is lost to both.
The last line of a connection counts even without a newline (meshlog_receiver_partial_lines_total).
Empty lines are dropped and counted (reason empty_line).`,
  create: (settings, context) => new TcpReceiver(settings, context),
});
