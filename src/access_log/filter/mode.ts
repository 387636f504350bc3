// Istio's `match.mode`: on which side of the call the proxy stood that wrote the record.

import type { Condition } from './condition.ts';
import { FieldReader } from './field_reader.ts';
import { textTest } from './text_matcher.ts';

const isInbound = textTest('prefix', 'inbound', false);
const isOutbound = textTest('prefix', 'outbound', false);

export type Mode = 'CLIENT' | 'SERVER' | 'CLIENT_AND_SERVER';

/**
 * On which side the reporting proxy stood: Istio counts gateways as clients. Known from `enrich`, else from the
 * direction or the cluster's name. What neither says is on no side.
 */
export function modeCondition(mode: Mode): Condition {
  if (mode === 'CLIENT_AND_SERVER') return { bind: () => undefined, test: () => true };
  const reporter = new FieldReader([{ name: 'mesh.reporter' }]);
  const direction = new FieldReader([{ name: 'mesh.direction' }, { name: 'xds.cluster_name' }]);
  const wanted = mode === 'SERVER';
  return {
    bind: (batch) => {
      reporter.bind(batch);
      direction.bind(batch);
    },
    test: (row) => {
      if (reporter.span(row)) return (reporter.text(row) === 'destination') === wanted;
      if (!direction.span(row)) return false;
      return wanted ? isInbound(direction) : isOutbound(direction);
    },
  };
}
