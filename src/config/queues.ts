// A queue on disk needs a folder: said when the configuration is read, not when it is started.

import type { Findings } from './findings.ts';
import { entriesAt, type MapTree, treeAt } from './tree.ts';

export function checkQueues(root: MapTree, findings: Findings): void {
  if (treeAt(root, ['service', 'state_directory']) !== undefined) return;
  for (const [id, entry] of entriesAt(root, ['exporters'])) {
    const type = treeAt(entry.value, ['queue', 'type']);
    if (type?.kind !== 'scalar' || type.value !== 'disk') continue;
    findings.problem(
      type.place,
      'a queue on disk needs service.state_directory',
      `exporters.${id}.queue.type`,
    );
  }
}
