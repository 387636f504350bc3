// Words of other programs' configurations, and what they are called or how they are done here.

/** Component types of the Collector -> what to write instead. Without a colon: a type of ours. */
export const foreignTypes: Record<string, string> = {
  filelog: 'file',
  file_log: 'file',
  envoyals: 'envoy_als',
  tcplog: 'tcp',
  tcp_log: 'tcp',
  otlp_grpc: 'otlp',
  otlphttp: 'otlp',
  otlp_http: 'otlp',
  probabilistic_sampler: 'sample',
  transform: 'attributes',
  logdedup: 'dedup',
  redaction: 'redact',
  debug: 'file, with path: /dev/stdout',
  logging: 'file, with path: /dev/stdout',
  batch: 'nothing: each exporter batches, see its queue.batch',
  memory_limiter: 'nothing: service.memory_budget bounds all receivers',
  resource: 'attributes',
};

/** Extensions of the Collector -> where meshlog has the same. */
export const builtIn: Record<string, string> = {
  health_check: '/healthz and /readyz at service.admin.endpoint',
  healthcheckv2: '/healthz and /readyz at service.admin.endpoint',
  file_storage: 'queue: { type: disk } of an exporter, and service.state_directory',
  memory_limiter: 'service.memory_budget',
};

/** Fields that users know from the Collector, Vector or Fluent Bit -> ours of the same meaning, where it exists. */
export const foreignFields: Record<string, readonly string[]> = {
  sending_queue: ['queue'],
  buffer: ['queue'],
  queue_size: ['size'],
  num_consumers: ['concurrency'],
  block_on_overflow: ['when_full'],
  sampling_percentage: ['percent'],
  listen_address: ['endpoint'],
  address: ['endpoint'],
  endpoint: ['address', 'path'],
  max_log_size: ['line_bytes_max'],
  paths: ['include'],
  condition: ['expression'],
  storage: ['queue', 'state_directory'],
};
