// Who called whom, and how it went: mesh, direction, source, destination and severity of every record.

import { z } from 'zod';
import { processor } from '../../pipeline/component.ts';
import { severityNumbers } from '../../pipeline/record.ts';
import { Enricher } from './enricher.ts';
import { type Group, groups } from './fields.ts';
import { inventoryConfig, openInventory } from './inventory.ts';

const groupNames: [Group, ...Group[]] = [...groups];
const group = () => z.enum(groupNames);
const level = () => z.enum(['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL']);

const severity = z.strictObject({
  server_error: level()
    .default('ERROR')
    .describe('Status 5xx, and the gRPC statuses that blame the server.'),
  upstream_failure: level()
    .default('ERROR')
    .describe('Response flags that say that the upstream, or the way to it, failed.'),
  client_error: level()
    .default('WARN')
    .describe('Status 4xx, other gRPC statuses, and flags that blame the client.'),
  success: level().default('INFO').describe('Everything else.'),
});

const config = z.strictObject({
  mesh: z.string().min(1).optional().describe('Mesh of records whose stream does not name one.'),
  cluster: z
    .string()
    .min(1)
    .optional()
    .describe(
      'Cluster of proxies whose stream does not name one, and of what the Kubernetes API says.',
    ),
  zone: z.string().min(1).optional().describe('Zone of records whose stream does not name one.'),
  rules: z
    .enum(['auto', 'istio', 'kuma'])
    .default('auto')
    .describe(
      "Whether what cannot be known is left out (istio) or written as Kuma's operators write it: `unknown`, `*` (kuma).",
    ),
  reporter: z
    .enum(['auto', 'source', 'destination', 'gateway'])
    .default('auto')
    .describe('Where the proxies stand, when the rules need not find it out.'),
  inbound_source_address: z
    .enum(['proxy', 'peer'])
    .default('proxy')
    .describe(
      "mesh.source.address of inbound records under Kuma's rules: `proxy`, the reporting one as Kuma prints it, or `peer`, the caller.",
    ),
  inventory: inventoryConfig.optional().describe('Who owns which address.'),
  severity: severity.prefault({}).describe('Severity of a record by how the request went.'),
  explain: z
    .boolean()
    .default(true)
    .describe('Whether failures get mesh.explanation: cause and hint in plain words.'),
  add: z
    .array(group())
    .default(groupNames)
    .describe('Groups of fields to add; all of them by default.'),
  leave_out: z.array(group()).default([]).describe('Groups of fields not to add.'),
});

export const enrich = processor({
  name: 'enrich',
  summary: 'Says who called whom and what went wrong: mesh, direction, source, destination.',
  config,
  example:
    'enrich:\n  mesh: prod\n  cluster: eu-1\n  # inventory: { file: workloads.yaml }\n  leave_out: [evidence]\n',
  notes:
    'Fields that a record already has are kept. Loses nothing; what no rule can tell stays absent. The called service is the one that the cluster names; peer metadata, identities and inventory say which workload answered. Counts meshlog_inventory_failures_total and meshlog_inventory_lists_total; meshlog_inventory_addresses and meshlog_inventory_synced say how complete the inventory is; it takes about 1.5 kB of memory per pod.',
  create: (settings, context) => {
    const { inventory, stop } = openInventory(settings.inventory, context, settings.cluster);
    const wanted = new Set(settings.add.filter((name) => !settings.leave_out.includes(name)));
    if (!settings.explain) wanted.delete('explanation');
    const enricher = new Enricher({
      mesh: settings.mesh,
      cluster: settings.cluster,
      zone: settings.zone,
      rules: settings.rules,
      reporter: settings.reporter === 'auto' ? undefined : settings.reporter,
      inboundSourceAddress: settings.inbound_source_address,
      severities: {
        server_error: severityNumbers[settings.severity.server_error],
        upstream_failure: severityNumbers[settings.severity.upstream_failure],
        client_error: severityNumbers[settings.severity.client_error],
        success: severityNumbers[settings.severity.success],
      },
      wanted,
      inventory,
    });
    return { process: (batch) => enricher.process(batch), stop };
  },
});
