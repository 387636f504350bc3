// From the graph that runs to another one. What did not change goes on with its sockets, files and queues; what is gone
// stops before what is new begins, because both may want the same port or folder.

import { isDeepStrictEqual } from 'node:util';
import {
  type ExporterNode,
  type Graph,
  missingIn,
  type ReceiverNode,
  receiverNode,
  type Surroundings,
} from './graph.ts';
import { errorChain, RefusedError } from './pipeline/errors.ts';
import type { Rest } from './pipeline/queue.ts';
import type { RunningReceivers } from './running_receivers.ts';
import { keepPorts } from './wire/kept_ports.ts';

/** How long receivers that go may take to hand over what they hold before others begin. */
const patienceMs = 2000;
/** And how long before what is new is looked at, so that those who connect meanwhile do not wait for long. */
const firstPatienceMs = 500;
/** How long a disk queue may still deliver before its successor takes the folder: what it holds is safe. */
const folderPatienceMs = 1000;

export type Changing = {
  readonly old: Graph;
  readonly next: Graph;
  readonly around: Surroundings;
  /** Ends all waiting. */
  readonly deadline: AbortSignal;
  /** Makes the next graph the one that deliveries go through, with these receivers. */
  readonly take: (graph: Graph) => void;
  readonly receivers: RunningReceivers;
  /** Deliveries wait while this is closed. */
  readonly closeGate: () => () => void;
};

/** Starts exporters that no folder binds to an old one. Returns what could not be started, and why. */
export async function startFresh(changing: Changing): Promise<string[]> {
  const failed: string[] = [];
  const fresh = missingIn(changing.next.exporters, changing.old.exporters);
  for (const node of fresh) {
    await attempt(failed, `exporter ${node.instance.id}`, async () => {
      await node.exporter.start?.();
      if (!inheritsFolder(node, changing.old)) await node.queue.start();
    });
  }
  if (failed.length === 0) return [];
  await Promise.all(fresh.map((node) => stopExporter(node, AbortSignal.abort())));
  return failed;
}

/** Goes over to the next graph. Returns what did not work out, in words; the rest runs. */
export async function changeOver(changing: Changing): Promise<string[]> {
  const closePorts = keepPorts();
  try {
    return await changeParts(changing);
  } finally {
    closePorts();
  }
}

async function changeParts(changing: Changing): Promise<string[]> {
  const { old, next, around, deadline } = changing;
  const problems: string[] = [];
  const gone = missingIn(old.receivers, next.receivers);
  const stopping = new Map(gone.map((node) => [node, changing.receivers.stop(node)]));
  await Promise.race([Promise.all(stopping.values()), delay(firstPatienceMs), aborted(deadline)]);

  const openGate = changing.closeGate();
  const goneExporters = missingIn(old.exporters, next.exporters);
  const heirs = missingIn(next.exporters, old.exporters).filter((node) =>
    inheritsFolder(node, old),
  );
  const handedOver = goneExporters.filter(({ folder }) => heirs.some((o) => o.folder === folder));
  const soon = AbortSignal.any([deadline, AbortSignal.timeout(folderPatienceMs)]);
  await Promise.all(handedOver.map((node) => stopExporter(node, soon)));
  for (const node of heirs) {
    await attempt(problems, `exporter ${node.instance.id}`, () => node.queue.start());
  }
  for (const node of missingIn(next.exporters, old.exporters)) node.queue.publish();
  const kept = next.receivers.filter((node) => old.receivers.includes(node));
  changing.take({ ...next, receivers: kept });
  openGate();
  const rest = missingIn(goneExporters, handedOver);
  // What waits for a peer that is away goes back to its receivers, and from them into the next graph.
  const away = rest.filter(({ sender }) => sender.failing);
  await leave(away, { around, deadline: AbortSignal.abort() });

  const running: ReceiverNode[] = [];
  for (const node of missingIn(next.receivers, old.receivers)) {
    const before = gone.find(({ instance }) => instance.id === node.instance.id);
    const started = await replaced(changing, { node, before, stopping, problems });
    if (started !== undefined) running.push(started);
  }
  changing.take({ ...next, receivers: [...kept, ...running] });
  await leave(missingIn(rest, away), { around, deadline });
  const stages = missingIn(old.stages, next.stages);
  await Promise.allSettled(stages.map((node) => node.stage.processor.stop?.()));
  for (const node of goneExporters) node.context.budget.close();
  return problems;
}

type Replacing = {
  readonly node: ReceiverNode;
  readonly before: ReceiverNode | undefined;
  readonly stopping: ReadonlyMap<ReceiverNode, Promise<void>>;
  readonly problems: string[];
};

/** The receiver that runs in the end: the new one; when it cannot start, the old one again; undefined: none. */
async function replaced(
  changing: Changing,
  replacing: Replacing,
): Promise<ReceiverNode | undefined> {
  const { node, before, stopping, problems } = replacing;
  const { receivers, around, deadline } = changing;
  let failure = await startFailure(receivers.start(node));
  if (failure === undefined) return node;
  // Perhaps its predecessor still holds the port or the state, waiting for a sink that will not come back soon.
  if (before !== undefined) {
    await Promise.race([stopping.get(before), delay(patienceMs), aborted(deadline)]);
    receivers.dismiss(before);
    await Promise.race([stopping.get(before), delay(patienceMs), aborted(deadline)]);
  }
  const again = receiverNode(node.instance, around);
  failure = await startFailure(receivers.start(again));
  if (failure === undefined) return again;
  const what = `receiver ${node.instance.id}`;
  if (before === undefined) {
    problems.push(`${what}: ${failure}`);
    return undefined;
  }
  const former = receiverNode(before.instance, around);
  const formerFailure = await startFailure(receivers.start(former));
  if (formerFailure === undefined) {
    problems.push(`${what}: ${failure}; it goes on as it was`);
    return former;
  }
  problems.push(`${what}: ${failure}; as it was it does not start either: ${formerFailure}`);
  return undefined;
}

const startFailure = (started: Promise<void>): Promise<string | undefined> =>
  started.then(() => undefined, errorChain);

/** Ends exporters that are gone. */
async function leave(
  nodes: readonly ExporterNode[],
  { around, deadline }: Pick<Changing, 'around' | 'deadline'>,
): Promise<void> {
  await Promise.all(
    nodes.map(async (node) => {
      const { persisted } = await stopExporter(node, deadline);
      if (persisted === 0) return;
      around
        .scope(node.instance)
        .warn(`is gone from the configuration; ${persisted} records wait for it in ${node.folder}`);
    }),
  );
}

/** What changed under `service` and is only looked at when the process starts. */
export function needsRestart(old: Graph, next: Graph): string[] {
  const names = ['state_directory', 'control_socket', 'admin', 'telemetry', 'reload'] as const;
  const [before, after] = [old.config.service, next.config.service];
  return names.filter((name) => !isDeepStrictEqual(before[name], after[name]));
}

const inheritsFolder = ({ folder }: ExporterNode, old: Graph): boolean =>
  folder !== undefined && old.exporters.some((node) => node.folder === folder);

export async function stopExporter(
  { exporter, queue }: ExporterNode,
  deadline: AbortSignal,
): Promise<Rest> {
  const result = await queue.stop(deadline);
  // An exporter that does not end must not hold up the others.
  await Promise.race([exporter.stop().catch(() => undefined), delay(patienceMs)]);
  return result;
}

/** What would keep receivers from starting, besides what has failed already. They take nothing, and are closed again. */
export async function tryReceivers(
  failed: string[],
  nodes: readonly ReceiverNode[],
): Promise<void> {
  const refuse = (): Promise<void> =>
    Promise.reject(new RefusedError('nothing is started', { retryable: true }));
  const opened: ReceiverNode[] = [];
  for (const node of nodes) {
    await attempt(failed, `receiver ${node.instance.id}`, async () => {
      await node.receiver.start(refuse);
      opened.push(node);
    });
  }
  const closed = Promise.allSettled(opened.map(({ receiver }) => receiver.stop()));
  await Promise.race([closed, delay(patienceMs)]);
}

export async function attempt(
  failed: string[],
  what: string,
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work();
  } catch (error) {
    failed.push(`${what}: ${errorChain(error)}`);
  }
}

export const delay = (ms: number): Promise<void> =>
  new Promise((done) => setTimeout(done, ms).unref());

export function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((done) => signal.addEventListener('abort', () => done(), { once: true }));
}
