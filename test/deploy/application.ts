import type { Manifest } from '../support/kustomize.ts';

/** A Deployment as somebody has it, who then adds the sidecar. */
export const application = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'reviews', namespace: 'bookinfo', labels: { 'meshlog/sidecar': 'enabled' } },
  spec: {
    selector: { matchLabels: { app: 'reviews' } },
    template: {
      metadata: { labels: { app: 'reviews' } },
      spec: { containers: [{ name: 'app', image: 'reviews:1' }] },
    },
  },
} as unknown as Manifest;
