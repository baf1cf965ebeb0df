/**
 * What copying a guest costs: pages of random data against a plain TCP connection of the same machine in the same run, and
 * the whole migration of an idle guest.
 */
import { Worker } from 'node:worker_threads';
import { layoutFor } from '../../src/machine/layout.js';
import { type Benchmark, type BenchRow, rowOf } from '../../src/measure/benchmark.js';
import { createDestinationMigration, createSourceMigration } from '../../src/migration/create.js';
import type { MigrationReport } from '../../src/migration/report.js';
import { FakeHost, FakeSourceVm } from '../migration/fake-vm.js';
import type { RawEnd } from './raw-loopback-core.js';

const MIB = 1024 * 1024;
const RUNS = 5;
const TRANSFER_BYTES = 256 * MIB;
const IDLE_BYTES = 512 * MIB;

/** The next message of a worker. */
const message = <T>(worker: Worker): Promise<T> => new Promise((resolve) => worker.once('message', resolve));

const rawEnd = (workerData: RawEnd): Worker =>
  new Worker(new URL('./raw-loopback-core.js', import.meta.url), { workerData });

async function rawBytesPerSecond(ownBuffer: boolean): Promise<number> {
  const receiver = rawEnd({ role: 'receive', bytes: TRANSFER_BYTES, ownBuffer });
  const port = await message<number>(receiver);
  const done = message<{ atNs: number }>(receiver);
  const sender = rawEnd({ role: 'send', bytes: TRANSFER_BYTES, port });
  const begun = await message<{ atNs: number }>(sender);
  const ended = await done;
  await Promise.all([sender.terminate(), receiver.terminate()]);
  return TRANSFER_BYTES / ((ended.atNs - begun.atNs) / 1e9);
}

/** A guest as the machine makes it: RAM that nobody touched, the VMM's area behind it. */
function idleVm(ramBytes: number): FakeSourceVm {
  const vm = new FakeSourceVm(ramBytes);
  const pages = layoutFor(ramBytes).totalBytes / 65536;
  Object.defineProperty(vm, 'memory', {
    value: new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true }),
  });
  return vm;
}

async function migrate(vm: FakeSourceVm): Promise<MigrationReport> {
  const destination = createDestinationMigration({ host: new FakeHost(), listen: 'tcp:127.0.0.1:0' });
  const to = await destination.listen();
  const [report] = await Promise.all([
    createSourceMigration({ vm, device: null, to }).run(),
    destination.run(),
  ]);
  if (report.outcome !== 'completed') throw new Error(report.error ?? 'migration failed');
  return report;
}

export const benchmark: Benchmark = {
  name: 'page-transfer',
  what: 'page data of a full guest against plain TCP loopback; total time of an idle 512 MiB guest',
  async run(): Promise<BenchRow[]> {
    const full = new FakeSourceVm(TRANSFER_BYTES);
    const words = new Uint32Array(full.memory.buffer);
    for (let i = 0; i < words.length; i++) words[i] = (i * 0x9e3779b1) | 1;
    const rates = { data: [] as number[], own: [] as number[], pages: [] as number[] };
    const idle: MigrationReport[] = [];
    for (let run = 0; run < RUNS; run++) {
      rates.data.push(await rawBytesPerSecond(false));
      rates.own.push(await rawBytesPerSecond(true));
      full.isRunning = true;
      rates.pages.push((await migrate(full)).rounds[0]!.bytesPerSecond);
      idle.push(await migrate(idleVm(IDLE_BYTES)));
    }
    const gigabytes = (values: readonly number[]): number[] => values.map((value) => value / 1e9);
    const ratio = (to: readonly number[]): number[] => rates.pages.map((value, run) => value / to[run]!);
    return [
      rowOf('plain TCP loopback, data events, GB/s', gigabytes(rates.data)),
      rowOf('plain TCP loopback, own buffer, GB/s', gigabytes(rates.own)),
      rowOf('pages of a full 256 MiB guest, GB/s', gigabytes(rates.pages)),
      rowOf('pages / plain TCP with data events', ratio(rates.data), { atLeast: 0.6 }),
      rowOf('pages / plain TCP with an own buffer', ratio(rates.own)),
      rowOf(
        'idle 512 MiB guest, total, ms',
        idle.map((report) => report.totalMs),
        { atMost: 190 },
      ),
      rowOf(
        'idle 512 MiB guest, of it setting up, ms',
        idle.map((report) => report.setupMs),
      ),
      rowOf(
        'idle 512 MiB guest, downtime, ms',
        idle.map((report) => report.downtimeMs ?? 0),
      ),
    ];
  },
};
