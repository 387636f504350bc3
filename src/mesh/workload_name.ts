// The workload behind a pod's name: Kubernetes appends what makes the pod unique.

/** The letters and digits of Kubernetes' random suffixes: no vowels, nothing that reads as another. */
const randomSuffix = /-[bcdfghjklmnpqrstvwxz2456789]{5}$/;
const replicaSetHash = /-(?:[bcdfghjklmnpqrstvwxz2456789]{6,10}|[0-9]{6,10})$/;
const ordinal = /-\d{1,5}$/;

/**
 * `productpage-v1-7f9d7b8c6d-abcde` is productpage-v1 (deployment), `web-0` is web (stateful set), `agent-x7kzl` is
 * agent (daemon set, job), `report-28391040-x7kzl` is report (cron job).
 */
export function workloadOfPod(pod: string): string {
  const unsuffixed = pod.replace(randomSuffix, '');
  if (unsuffixed === pod) return strip(pod, ordinal);
  return strip(unsuffixed, replicaSetHash);
}

/** Never strips the whole name. */
function strip(name: string, suffix: RegExp): string {
  const rest = name.replace(suffix, '');
  return rest === '' ? name : rest;
}
