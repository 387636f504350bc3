// grpc.health.v1: whether a server takes requests. Which service is asked for does not matter.

import type { GrpcMethod } from './grpc_call.ts';

export const healthPath = '/grpc.health.v1.Health/Check';

const SERVING = 1;
const NOT_SERVING = 2;

export function healthMethod(isServing: () => boolean): GrpcMethod {
  return {
    streaming: false,
    open: () => ({
      message: () => undefined,
      end: () => ({ message: Buffer.from([0x08, isServing() ? SERVING : NOT_SERVING]) }),
    }),
  };
}
