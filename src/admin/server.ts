// /metrics, /healthz and /readyz for Prometheus, kubelet and people.

import { createServer, type Server, type ServerResponse } from 'node:http';
import type { Metrics } from '../telemetry/metrics.ts';

export type AdminOptions = {
  readonly host: string;
  readonly port: number;
  readonly metrics: Metrics;
  /** Why the daemon is not ready; empty: it is. */
  readonly unready: () => readonly string[];
  /** What goes on with less than was asked for. It is said, and the daemon is ready all the same. */
  readonly degraded: () => readonly string[];
};

/** Listens until closed. Rejects when the address is in use. */
export class AdminServer {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static open(options: AdminOptions): Promise<AdminServer> {
    const server = createServer({ requestTimeout: 10_000 }, (request, response) => {
      const path = (request.url ?? '/').split('?')[0] ?? '/';
      if (request.method !== 'GET' && request.method !== 'HEAD') {
        return answer(response, 405, 'only GET is served here\n');
      }
      if (path === '/metrics') return void serveMetrics(response, options.metrics);
      if (path === '/healthz') return answer(response, 200, 'ok\n');
      if (path === '/readyz') {
        const reasons = options.unready();
        const lines = [
          ...(reasons.length === 0 ? ['ready'] : reasons),
          ...options.degraded().map((line) => `degraded: ${line}`),
        ];
        return answer(response, reasons.length === 0 ? 200 : 503, `${lines.join('\n')}\n`);
      }
      return answer(response, 404, 'there are /metrics, /healthz and /readyz\n');
    });
    server.maxConnections = 64;
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(options.port, options.host, () => {
        server.removeListener('error', reject);
        server.unref();
        resolve(new AdminServer(server));
      });
    });
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}

async function serveMetrics(response: ServerResponse, metrics: Metrics): Promise<void> {
  const { contentType, text } = await metrics.render();
  response.setHeader('content-type', contentType);
  answer(response, 200, text);
}

function answer(response: ServerResponse, status: number, text: string): void {
  if (!response.hasHeader('content-type')) response.setHeader('content-type', 'text/plain');
  response.statusCode = status;
  response.end(text);
}
