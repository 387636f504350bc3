// Named places at which a crash test ends the process as a power cut would. MESHLOG_FAULT=name or name:n (the n-th
// time); without it a fault point is one comparison.

const [wanted, count] = (process.env['MESHLOG_FAULT'] ?? '').split(':');
let left = Number(count ?? 1);

/** Kills the process here when the crash test asks for it. */
export function faultPoint(name: string): void {
  if (wanted !== name) return;
  if (--left <= 0) process.kill(process.pid, 'SIGKILL');
}
