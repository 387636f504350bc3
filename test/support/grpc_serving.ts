// A gRPC server on a port of its own, with limits that nothing runs into unless a test sets them.

import { GrpcServer, type GrpcServerOptions } from '../../src/wire/grpc_server.ts';

export type GrpcServing = {
  readonly server: GrpcServer;
  readonly port: number;
  /** Reasons for which connections were refused, with the peer where it is known, and calls. */
  readonly refused: string[];
};

export const noKeepalive: GrpcServerOptions['keepalive'] = {
  time: 0,
  timeout: 1000,
  maxConnectionAge: 0,
  maxConnectionAgeGrace: 0,
  maxConnectionIdle: 0,
};

/** Whoever starts it says `server.stop`. */
export async function grpcServing(
  options: Pick<GrpcServerOptions, 'methods'> & Partial<GrpcServerOptions>,
): Promise<GrpcServing> {
  const refused: string[] = [];
  const server = new GrpcServer({
    address: { kind: 'tcp', host: '127.0.0.1', port: 0 },
    allowedSpiffeIds: [],
    maxConnections: 100,
    maxConcurrentStreams: 100,
    messageBytesMax: 1024 * 1024,
    keepalive: noKeepalive,
    requestTimeout: 0,
    refused: (reason, peer) => refused.push(peer === undefined ? reason : `${reason} ${peer}`),
    refusedCall: (reason) => refused.push(reason),
    ...options,
  });
  await server.listen();
  const { address } = server;
  return { server, refused, port: address.kind === 'tcp' ? address.port : 0 };
}
