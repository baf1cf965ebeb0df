/**
 * Entry of a vCPU's worker: puts the guest's bus together and runs the guest. Its thread blocks in the guest; the main
 * thread talks to it through the control page.
 */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { blockThread, realClock } from '../hardware/clock.js';
import { controlWords } from '../machine/memory.js';
import { runVcpu } from '../machine/vcpu.js';
import { DeviceModelCalls, type DeviceModelHandle } from './device-model.js';
import { GuestBusView, type SlotHandle } from './guest-bus-view.js';
import { type GuestImage, guestKind, isLinux } from './guest-kind.js';
import { runLinux } from './linux-vcpu.js';
import type { NetSlotHandle } from './paravirtual-net.js';
import { nameThread, threadPath } from './thread-cpu.js';

export interface VcpuWorkerData {
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

/** The only message: where the thread's CPU account is. */
export interface VcpuThreadMessage {
  readonly threadPath: string | null;
}

const { image, memory, port, slots, nets, deviceModel } = workerData as VcpuWorkerData;
nameThread('srvm vcpu');
parentPort!.postMessage({ threadPath: threadPath() } satisfies VcpuThreadMessage);
const control = controlWords(memory, guestKind(image).layout);
const calls = deviceModel === null ? null : new DeviceModelCalls(deviceModel);
const bus = new GuestBusView(slots, control, realClock, blockThread, nets, undefined, calls);
if (isLinux(image)) runLinux({ image, memory, port, slots: [...slots, ...nets] }, bus);
else await runVcpu({ image, memory, port }, { bus, clock: realClock });
