/** How long an idle guest's migration takes when nothing is in its way, and what a VMM process weighs. */
import { sleep } from '../../src/cli/lab.js';
import { type Benchmark, rowOf } from '../../src/measure/benchmark.js';
import { PingPong } from './ping-pong.js';

const HOPS = 10;

export const benchmark: Benchmark = {
  name: 'idle-guest',
  what: 'an idle 512 MiB guest, migrated back and forth between two processes, bandwidth unlimited',
  async run() {
    const lab = await PingPong.start({ image: 'guest-images/idle', memory: '512M' });
    try {
      await sleep(1500);
      const totalMs: number[] = [];
      const setupMs: number[] = [];
      const downtimeMs: number[] = [];
      for (let hop = 0; hop < HOPS; hop++) {
        const report = await lab.hop(hop % 2 === 0 ? 'scan' : 'shadow-doorbell');
        totalMs.push(report.totalMs);
        setupMs.push(report.setupMs);
        downtimeMs.push(report.downtimeMs ?? 0);
        await sleep(300);
      }
      return [
        rowOf('total time, ms', totalMs, { atMost: 190 }),
        rowOf('  of it set-up, ms', setupMs),
        rowOf('downtime, ms', downtimeMs),
      ];
    } finally {
      await lab.close();
    }
  },
};
