/** Runs every method under every load, and again, and keeps what was seen and what went wrong. */
import { CRC_BYTES, UDP_PAYLOAD_OFFSET } from '../../hardware/wire/frames.js';
import type { Offer } from '../../measure/load/echo-load.js';
import type { MethodTrials } from './figures.js';
import type { Method } from './methods.js';
import { runTrial, type Trial } from './trial.js';

/** Enough datagrams under way to keep every core busy; all fit into a guest's ring. */
export const SATURATE: Offer = { kind: 'window', datagrams: 128 };

export const payloadOf = (frameBytes: number): number => frameBytes - CRC_BYTES - UDP_PAYLOAD_OFFSET;

export interface Plan {
  readonly loads: readonly Offer[];
  readonly runs: number;
  readonly payloadBytes: number;
  /** Guest RAM; the image's default when left out. */
  readonly memory?: string | undefined;
}

/** Every method once, then every method again: what drifts on the machine meanwhile meets them all. */
export async function runAll(methods: readonly Method[], plan: Plan): Promise<MethodTrials[]> {
  const results = methods.map((method) => ({
    method,
    steady: [] as Trial[],
    saturated: [] as Trial[],
    failures: [] as string[],
  }));
  for (let run = 1; run <= plan.runs; run++) {
    for (const load of plan.loads) {
      for (const result of results) {
        const { method } = result;
        const saturates = load.kind === 'window';
        const name = `${method.name}, ${saturates ? 'saturated' : 'steady'}, run ${run} of ${plan.runs}`;
        try {
          const trial = await runTrial({
            method,
            memory: plan.memory ?? method.image.memory,
            load,
            payloadBytes: plan.payloadBytes,
            verify: saturates,
            run,
          });
          process.stderr.write(`${name}: ${outcomeText(trial)}\n`);
          // what a migration that failed took is no figure of the method's
          if (isFailure(method, trial)) result.failures.push(`${name}: ${trial.report.error}`);
          else (saturates ? result.saturated : result.steady).push(trial);
        } catch (error) {
          result.failures.push(`${name}: ${(error as Error).message}`);
          process.stderr.write(`${name}: ${(error as Error).message}\n`);
        }
      }
    }
  }
  return results;
}

/** A method that nobody tracks pages for may be refused by the verifier: that is a result. */
const isFailure = ({ claims }: Method, { report }: Trial): boolean =>
  report.outcome !== 'completed' &&
  !(!claims.tracksEveryPage && !claims.needsGuestHelp && report.verdict !== null);

function outcomeText({ report, before, during, after }: Trial): string {
  const rates = [before, during, after].map(({ perSecond }) => perSecond.toFixed(0)).join(' / ');
  const stop = report.downtimeMs === null ? '' : `, stopped ${report.downtimeMs.toFixed(1)} ms`;
  return `${report.outcome}, ${rates} replies/s before / during / after${stop}`;
}
