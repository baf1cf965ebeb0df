/**
 * The threads of a host besides its main one, and what the main thread waits on: time, chance, words that others change.
 * Workers and the process's own by default; a simulator runs the same cores in one thread and virtual time.
 *
 *   Nic             --startEngine--> EngineThread    NicCommand ->    <- NicReply
 *   VirtualMachine  --startVcpu----> VcpuThread      control page ->  <- VcpuEvent
 */
import { randomBytes } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import { blockThread, type Random, realTimers, type TimerClock, type WordWait } from '../hardware/clock.js';
import { compileAtFullSpeed } from '../machine/full-speed.js';
import type { VcpuEvent } from '../machine/vcpu-events.js';
import type { DeviceModelHandle } from './device-model.js';
import type { SlotHandle } from './guest-bus-view.js';
import type { GuestImage } from './guest-kind.js';
import type { NicCommand, NicReply, NicWorkerData } from './nic-messages.js';
import type { NetSlotHandle } from './paravirtual-net.js';
import { startVcpu } from './vcpu-threads.js';

export interface HostThreads {
  readonly timers: TimerClock;
  /** For made-up MAC addresses. */
  readonly random: Random;
  /** How the main thread waits where it cannot await: for a guest's access to end, for the engine's turn. */
  readonly wait: WordWait;
  startEngine(data: NicWorkerData, events: EngineEvents): EngineThread;
  startVcpu(boot: VcpuThreadBoot, events: VcpuThreadEvents): VcpuThread;
  /** Resolves when words[index] is no longer `seen`, or earlier. */
  whenChanged(words: Int32Array, index: number, seen: number): Promise<void>;
  /** Compiles ahead, so that a vCPU need not. */
  compile(wasm: Uint8Array): Promise<unknown>;
}

export interface EngineEvents {
  onReply(reply: NicReply): void;
  onError(cause: Error): void;
  onExit(): void;
}

/** A NIC's engine in a thread of its own; the command `stop` ends it. */
export interface EngineThread {
  post(command: NicCommand): void;
}

export interface VcpuThreadBoot {
  readonly name: string;
  readonly image: GuestImage;
  readonly memory: WebAssembly.Memory;
  readonly slots: readonly SlotHandle[];
  /** Paravirtual NICs. */
  readonly nets: readonly NetSlotHandle[];
  readonly deviceModel: DeviceModelHandle | null;
}

export interface VcpuThreadEvents {
  onEvent(event: VcpuEvent): void;
  /** Where the kernel keeps the thread's CPU account; null where it keeps none. */
  onThread(path: string | null): void;
  onError(cause: Error): void;
  onExit(): void;
}

export interface VcpuThread {
  /** Ends it whatever it does. */
  terminate(): Promise<void>;
}

function startEngine(data: NicWorkerData, events: EngineEvents): EngineThread {
  const worker = new Worker(new URL('./nic-core.js', import.meta.url), { workerData: data, name: 'nic' });
  worker.on('message', (reply: NicReply) => events.onReply(reply));
  worker.on('error', (cause) => events.onError(cause));
  worker.once('exit', () => events.onExit());
  return { post: (command) => worker.postMessage(command) };
}

export const realThreads: HostThreads = {
  timers: realTimers,
  random: { nextU32: () => randomBytes(4).readUInt32LE() },
  wait: blockThread,
  startEngine,
  startVcpu,
  async whenChanged(words, index, seen) {
    const wait = Atomics.waitAsync(words, index, seen);
    if (wait.async) await wait.value;
  },
  compile(wasm) {
    compileAtFullSpeed();
    return WebAssembly.compile(wasm as BufferSource);
  },
};
