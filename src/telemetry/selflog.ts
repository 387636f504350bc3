// The daemon's own log: OpenTelemetry's API and SDK, one line per change of state on stderr, or OTLP.

import { logs, type SeverityNumber } from '@opentelemetry/api-logs';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  BatchLogRecordProcessor,
  LoggerProvider,
  type LogRecordExporter,
  type LogRecordProcessor,
  SimpleLogRecordProcessor,
} from '@opentelemetry/sdk-logs';

export type Level = 'debug' | 'info' | 'warn' | 'error';

/** Where the daemon's own records go. */
export type SelfLogOptions = {
  readonly level: Level;
  readonly format: 'text' | 'json';
  readonly version: string;
  /** Besides the console: an OTLP/gRPC endpoint (`http://host:port`). */
  readonly otlpEndpoint?: string | undefined;
  readonly write: (line: string) => void;
};

export type ComponentLog = {
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
};

const severities: Record<Level, number> = { debug: 5, info: 9, warn: 13, error: 17 };

/** The log of the process. `scope` is what a line begins with: `exporter otlp`. */
export class SelfLog {
  readonly #provider: LoggerProvider;
  readonly #least: number;

  private constructor(provider: LoggerProvider, least: number) {
    this.#provider = provider;
    this.#least = least;
  }

  static async open(options: SelfLogOptions): Promise<SelfLog> {
    const processors: LogRecordProcessor[] = [
      new SimpleLogRecordProcessor({ exporter: lineExporter(options) }),
    ];
    if (options.otlpEndpoint !== undefined) {
      const { OTLPLogExporter } = await import('@opentelemetry/exporter-logs-otlp-grpc');
      const exporter = new OTLPLogExporter({ url: options.otlpEndpoint });
      processors.push(new BatchLogRecordProcessor({ exporter }));
    }
    const resource = resourceFromAttributes({
      'service.name': 'meshlog',
      'service.version': options.version,
    });
    const provider = new LoggerProvider({ resource, processors });
    logs.setGlobalLoggerProvider(provider);
    return new SelfLog(provider, severities[options.level]);
  }

  scope(scope: string): ComponentLog {
    const logger = this.#provider.getLogger('meshlog');
    const emit = (severityNumber: number, severityText: string, body: string): void => {
      if (severityNumber < this.#least) return;
      const severity = severityNumber as SeverityNumber;
      logger.emit({
        severityNumber: severity,
        severityText,
        body,
        attributes: scope === '' ? {} : { component: scope },
      });
    };
    return {
      info: (message) => emit(9, 'INFO', message),
      warn: (message) => emit(13, 'WARN', message),
      error: (message) => emit(17, 'ERROR', message),
    };
  }

  async close(): Promise<void> {
    await this.#provider.shutdown();
  }
}

/** One line a record: `10:04:02 WARN  exporter otlp: …`, or a JSON object. */
function lineExporter({ format, write }: SelfLogOptions): LogRecordExporter {
  return {
    export(records, done) {
      for (const record of records) {
        const time = new Date(record.hrTime[0] * 1000 + record.hrTime[1] / 1e6).toISOString();
        const component = record.attributes['component'];
        const message = String(record.body);
        if (format === 'json') {
          const level = record.severityText;
          write(`${JSON.stringify({ time, level, component, message })}\n`);
        } else {
          const from = component === undefined ? '' : `${String(component)}: `;
          const level = (record.severityText ?? '').padEnd(5);
          write(`${time.slice(11, 19)} ${level} ${from}${message}\n`);
        }
      }
      done({ code: 0 });
    },
    forceFlush: () => Promise.resolve(),
    shutdown: () => Promise.resolve(),
  };
}
