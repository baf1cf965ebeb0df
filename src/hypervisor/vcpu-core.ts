/**
 * Entry of a vCPU's worker: waits for its guest, puts the guest's bus together and runs the guest. Its thread blocks in the
 * guest; the main thread talks to it through the control page.
 */
import { type MessagePort, parentPort } from 'node:worker_threads';
import { blockThread, realClock } from '../hardware/clock.js';
import { controlWords } from '../machine/memory.js';
import { runVcpu } from '../machine/vcpu.js';
import { coreModule } from '../rv64/cpu/core.js';
import { DeviceModelCalls, type DeviceModelHandle } from './device-model.js';
import { GuestBusView, type SlotHandle } from './guest-bus-view.js';
import { type GuestImage, guestKind, isLinux } from './guest-kind.js';
import { runLinux } from './linux-vcpu.js';
import type { NetSlotHandle } from './paravirtual-net.js';
import { nameThread, threadPath } from './thread-cpu.js';

/** The only order that comes as a message: which guest it runs. */
export interface VcpuThreadOrder {
  readonly image: GuestImage;
  readonly memory: WebAssembly.Memory;
  /** Transferred: the far end is the VcpuControl's. */
  readonly port: MessagePort;
  readonly slots: readonly SlotHandle[];
  /** Paravirtual NICs. */
  readonly nets: readonly NetSlotHandle[];
  /** What another thread does for want of an acceleration. */
  readonly deviceModel: DeviceModelHandle | null;
}

export type VcpuThreadMessage =
  /** Where the thread's CPU account is. */
  | { readonly kind: 'up'; readonly threadPath: string | null }
  /** What it compiled, for the process to hold. */
  | { readonly kind: 'compiled'; readonly module: WebAssembly.Module };

const tell = (message: VcpuThreadMessage): void => parentPort!.postMessage(message);

/** Blocks the thread while the guest runs. */
async function run({ image, memory, port, slots, nets, deviceModel }: VcpuThreadOrder): Promise<void> {
  nameThread('srvm vcpu');
  tell({ kind: 'up', threadPath: threadPath() });
  const control = controlWords(memory, guestKind(image).layout);
  const calls = deviceModel === null ? null : new DeviceModelCalls(deviceModel);
  const bus = new GuestBusView(slots, control, realClock, blockThread, nets, undefined, calls);
  if (isLinux(image)) {
    tell({ kind: 'compiled', module: coreModule() });
    runLinux({ image, memory, port, slots: [...slots, ...nets] }, bus);
  } else await runVcpu({ image, memory, port }, { bus, clock: realClock });
}

/** A guest that has not come by then may be long in coming; what only some guests need is compiled meanwhile. */
const COMPILE_AFTER_MS = 1000;

nameThread('srvm spare');
const compiling = setTimeout(() => tell({ kind: 'compiled', module: coreModule() }), COMPILE_AFTER_MS);
// a guest that cannot be run ends the thread with its error
parentPort!.once('message', (order: VcpuThreadOrder) => {
  clearTimeout(compiling);
  void run(order);
});
