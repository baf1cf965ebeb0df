/**
 * The threads of this process's vCPUs. One can be got ready before there is a guest for it: what such a thread loads takes
 * about as long as the first round of pages, and a guest that arrives would wait for it.
 *
 *   prepareVcpuThread --> spare --startVcpu--> a guest's, until that ends
 *                           '--discardVcpuThread--> ended
 */
import { MessageChannel, Worker } from 'node:worker_threads';
import { VCPU_STACK_MB } from '../machine/layout.js';
import type { VcpuEvent } from '../machine/vcpu-events.js';
import type { VcpuThread, VcpuThreadBoot, VcpuThreadEvents } from './host-threads.js';
import type { VcpuThreadMessage, VcpuThreadOrder } from './vcpu-core.js';
import { workerFile } from './worker-file.js';

/** Loaded, without a guest. */
let spare: Worker | null = null;

/**
 * The riscv64 core as a vCPU's thread compiled it. The engine has one compiled module per process for equal bytes, as long
 * as somebody holds it: held here, it costs every later vCPU nothing.
 */
const held: { riscv64Core: WebAssembly.Module | null } = { riscv64Core: null };

function startThread(): Worker {
  const worker = new Worker(workerFile(new URL('./vcpu-core.js', import.meta.url)), {
    name: 'vcpu',
    resourceLimits: { stackSizeMb: VCPU_STACK_MB },
  });
  worker.on('message', (message: VcpuThreadMessage) => {
    if (message.kind === 'compiled') held.riscv64Core ??= message.module;
  });
  return worker;
}

/** Begins to load a thread for the next vCPU, unless there is a spare one; it keeps no process alive. */
export function prepareVcpuThread(): void {
  if (spare !== null) return;
  const worker = startThread();
  const forget = (): void => {
    if (spare === worker) spare = null;
  };
  // what it died of will happen again to the vCPU that then loads its own, and is told there
  worker.once('error', forget);
  worker.once('exit', forget);
  worker.unref();
  spare = worker;
}

/** Ends the spare thread; one that a vCPU has taken goes on. */
export async function discardVcpuThread(): Promise<void> {
  const worker = spare;
  spare = null;
  await worker?.terminate();
}

function takeThread(): Worker {
  const worker = spare;
  if (worker === null) return startThread();
  spare = null;
  worker.ref();
  return worker;
}

export function startVcpu(boot: VcpuThreadBoot, events: VcpuThreadEvents): VcpuThread {
  const { port1, port2 } = new MessageChannel();
  port1.on('message', (event: VcpuEvent) => events.onEvent(event));
  const worker = takeThread();
  worker.on('message', (message: VcpuThreadMessage) => {
    if (message.kind === 'up') events.onThread(message.threadPath);
  });
  worker.once('error', (cause) => events.onError(cause));
  worker.once('exit', () => events.onExit());
  const order: VcpuThreadOrder = { ...boot, port: port2 };
  worker.postMessage(order, [
    port2,
    ...boot.slots.map(({ exits }) => exits),
    ...(boot.deviceModel === null ? [] : [boot.deviceModel.port]),
  ]);
  return {
    async terminate() {
      await worker.terminate();
      port1.close();
    },
  };
}
