/** What runs on a campaign's worker: one run after the other, a report of each. */
import { parentPort, workerData } from 'node:worker_threads';
import { READY, type SeedJob, type SeedWorkerData } from './seed-messages.js';
import { lostSeed, type SeedReport, type Simulate } from './simulator.js';

const { simulator, simulation } = workerData as SeedWorkerData;
const { simulate } = (await import(simulator)) as { simulate: Simulate };

async function run(job: SeedJob): Promise<SeedReport> {
  const startMs = performance.now();
  try {
    const { log: _log, ...result } = await simulate({ ...simulation, ...job, keepLog: 'none' });
    return { ...result, wallMs: performance.now() - startMs };
  } catch (error) {
    const sentence = `the simulator threw: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
    return lostSeed(job.seed, sentence, performance.now() - startMs);
  }
}

parentPort!.postMessage(READY);
parentPort!.on('message', async (job: SeedJob) => {
  parentPort!.postMessage(await run(job));
});
