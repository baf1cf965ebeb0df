/**
 * Entry of the extra core's thread: opens the device, imports the plugin's module, drives its core until told to stop,
 * says what it cost, and ends. Its thread is loaded while the destination is asked; it looks at nothing before it is told to
 * begin.
 */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { parentPort, workerData } from 'node:worker_threads';
import { realClock } from '../hardware/clock.js';
import { nameThread, threadCpuNs } from '../hypervisor/thread-cpu.js';
import type { Core, CoreModule, CoreView } from './core-api.js';
import { CORE_CONTROL, CoreLoop } from './core-loop.js';
import type { CoreMessage, CoreReport, CoreWorkerData } from './core-messages.js';
import type { CoreDevice, CoreDeviceModule } from './device-access.js';
import { SharedDirtyMarks } from './dirty-marks.js';

/** Below this a sleep takes longer than it is asked for (timer slack, two context switches): look again instead. */
const SHORTEST_SLEEP_NS = 20_000;

const port = parentPort!;
const env = workerData as CoreWorkerData;
// the plugin's module can import workerData too, and the card's memory and the ground truth hang on the handle
const { handle } = env;
Reflect.deleteProperty(env, 'handle');
nameThread('srvm tracker');
const bornNs = realClock.nowNs();
let loopCpuStartNs = 0;
let loop: CoreLoop | null = null;

const post = (message: CoreMessage): void => port.postMessage(message);

function report(): CoreReport {
  const cpuNs = threadCpuNs() ?? 0;
  return {
    cpuNs,
    loopCpuNs: loop === null ? 0 : cpuNs - loopCpuStartNs,
    aliveNs: realClock.nowNs() - bornNs,
    counters: { ...(loop?.counters() ?? {}), ...(loop?.core.counters?.() ?? {}) },
  };
}

function viewOf(device: CoreDevice): CoreView {
  return {
    vf: device.vf,
    ram: device.ram,
    bar0: device.bar0,
    bar3: device.bar3,
    pf: device.pf,
    pages: device.pages,
    clock: device.clock,
    dirty: new SharedDirtyMarks(env.dirty, env.dirtyPages),
    shared: new Int32Array(env.shared),
    note: (text) => post({ kind: 'note', text: String(text).slice(0, 500) }),
  };
}

function drive(running: CoreLoop, device: CoreDevice): void {
  const { words, index } = device.wake;
  while (!running.stopRequested || running.turnOpen) {
    const wake = Atomics.load(words, index);
    running.step();
    const idleNs = running.idleNs();
    if (idleNs >= SHORTEST_SLEEP_NS) Atomics.wait(words, index, wake, idleNs / 1e6);
  }
}

const require = createRequire(import.meta.url);

/** A file that needs no import() is loaded without: that alone would take the thread 10 ms. */
const load = (url: string): unknown => (url.endsWith('.cjs') ? require(fileURLToPath(url)) : import(url));

async function run(): Promise<void> {
  const [{ openCoreDevice }, { createCore }] = (await Promise.all([load(env.opener), load(env.module)])) as [
    CoreDeviceModule,
    CoreModule,
  ];
  if (typeof createCore !== 'function') throw new Error(`${env.module} exports no createCore`);
  const device = openCoreDevice(handle);
  const view = viewOf(device);
  const control = new Int32Array(env.control);
  Atomics.wait(control, CORE_CONTROL.go, 0);
  if (Atomics.load(control, CORE_CONTROL.stop) === 0) {
    const makeCore = (): Core => createCore(view, env.data);
    loop = new CoreLoop(makeCore, device.pages, device.clock, control, (sequence) =>
      post({ kind: 'turn', sequence }),
    );
    loopCpuStartNs = threadCpuNs() ?? 0;
    post({ kind: 'ready' });
    drive(loop, device);
    loop.core.finish?.();
  }
  post({ kind: 'ended', report: report() });
}

run().catch((error) => {
  post({ kind: 'failed', message: error instanceof Error ? error.message : String(error), report: report() });
});
