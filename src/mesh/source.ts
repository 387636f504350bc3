// Who called.

import { type Call, partyRules } from './call.ts';
import { NO_NAME } from './names.ts';
import { type Scene, take, takeIdentity } from './scene.ts';

const rules = partyRules;

/** On the way out the proxy's own side calls; on the way in whoever is at the other end of the connection. */
export function nameSource(scene: Scene, call: Call): void {
  const { source } = call;
  const { saidSource, self } = scene;
  // Kuma prints `unknown` on the way in; whoever can be found out is better.
  if (saidSource !== undefined && saidSource.name.service !== 'unknown') {
    take(call, source, saidSource.party, rules.record);
  }
  if (call.direction === 'outbound') {
    take(call, source, self.party, rules[self.self.evidence ?? 'inventory']);
  } else if (call.direction === 'inbound') {
    take(call, source, scene.peer?.party, rules.peer_metadata);
    takeIdentity(call, source, scene.identity);
  }
  take(call, source, scene.sourceOwner?.party, rules.inventory);
  take(call, source, scene.sourceSeen?.party, rules.seen_before);
  if (source.service === NO_NAME && call.isKuma) kumaUnknown(scene, call);
}

/** Kuma names no caller on the way in, and neither end where a zone's ingress or egress passes traffic on. */
function kumaUnknown(scene: Scene, call: Call): void {
  const isZoneProxy = scene.self.self.role === 'zone_proxy';
  if (call.direction !== 'inbound' && !isZoneProxy) return;
  call.source.service = scene.options.names.code('unknown');
  if (call.sourceRule === rules.none) call.sourceRule = rules.kuma;
}
