/** What a peer sees of a guest while something happens to it. */
import { sleep } from '../../src/cli/lab.js';
import { EchoProbe, type EchoProbeOptions, type EchoProbeReport } from '../../src/measure/load/echo-probe.js';

/** Probes from `marginMs` before the action until as long after it. */
export async function probeWhile<T>(
  options: EchoProbeOptions,
  marginMs: number,
  action: () => Promise<T>,
): Promise<[EchoProbeReport, T]> {
  const probe = new EchoProbe(options);
  probe.start();
  await sleep(marginMs);
  const result = await action();
  await sleep(marginMs);
  probe.stop();
  return [probe.report(), result];
}
