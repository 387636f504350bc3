// A gRPC client of ours, with nothing set but what a test sets.

import { GrpcClient, type GrpcClientOptions } from '../../src/wire/grpc_client.ts';

/** `to`: a port of 127.0.0.1, or an address. Whoever makes it closes it. */
export function grpcCalling(
  to: number | GrpcClientOptions['address'],
  options: Partial<GrpcClientOptions> = {},
): GrpcClient {
  return new GrpcClient({
    address: typeof to === 'number' ? { kind: 'tcp', host: '127.0.0.1', port: to } : to,
    tls: undefined,
    keepalive: undefined,
    headers: {},
    userAgent: 'test/1',
    compression: 'none',
    balancer: 'round_robin',
    ...options,
  });
}
