/**
 * A vCPU's worker for tests: a bus with one register that answers, and one that throws.
 */
import { workerData } from 'node:worker_threads';
import { realClock } from '../../src/hardware/clock.js';
import { emptyBus } from '../../src/machine/guest-bus.js';
import { runVcpu, type VcpuBoot } from '../../src/machine/vcpu.js';

const bus = {
  ...emptyBus,
  barRead: (slot: number, _bar: number, offset: number) => {
    if (offset === 8) throw new Error(`register ${offset} of slot ${slot} is broken`);
    return 0;
  },
};

await runVcpu(workerData as VcpuBoot, { bus, clock: realClock });
