/**
 * Accesses that the main thread serves, as a user-level device model does: what a VM monitor without the accelerations of its
 * hypervisor half does at each access to the MSI-X table and at each end of interrupt.
 *
 *   vCPU:  exit -> post the request -> wait for its answer -> guest goes on       main:  the access -> answer, notify
 */
import type { MessagePort } from 'node:worker_threads';
import { MessageChannel } from 'node:worker_threads';
import { blockThread, type WordWait } from '../hardware/clock.js';

/** What is served elsewhere than in the vCPU's thread. */
export interface Unaccelerated {
  readonly mask: boolean;
  readonly eoi: boolean;
}

/** What a vCPU's thread needs. The port is transferred. */
export interface DeviceModelHandle {
  readonly port: MessagePort;
  readonly answers: SharedArrayBuffer;
  readonly served: Unaccelerated;
}

export type DeviceModelRequest =
  | { readonly kind: 'msix-read'; readonly slot: number; readonly offset: number }
  | { readonly kind: 'msix-write'; readonly slot: number; readonly offset: number; readonly value: number }
  | { readonly kind: 'end-of-interrupt' };

const ANSWERED = 0;
const RESULT = 1;
const LOOK_AGAIN_MS = 100;

/** The vCPU's end. */
export class DeviceModelCalls {
  readonly served: Unaccelerated;
  readonly #port: MessagePort;
  readonly #answers: Int32Array;
  readonly #wait: WordWait;

  constructor({ port, answers, served }: DeviceModelHandle, wait: WordWait = blockThread) {
    this.served = served;
    this.#port = port;
    this.#answers = new Int32Array(answers);
    this.#wait = wait;
  }

  /** Blocks until the main thread has done it. */
  call(request: DeviceModelRequest): number {
    const answers = this.#answers;
    const before = Atomics.load(answers, ANSWERED);
    this.#port.postMessage(request);
    while (Atomics.load(answers, ANSWERED) === before) this.#wait(answers, ANSWERED, before, LOOK_AGAIN_MS);
    return Atomics.load(answers, RESULT) >>> 0;
  }
}

/** The main thread's end. */
export class DeviceModel {
  readonly handle: DeviceModelHandle;
  readonly #port: MessagePort;

  constructor(served: Unaccelerated, serve: (request: DeviceModelRequest) => number) {
    const { port1, port2 } = new MessageChannel();
    const buffer = new SharedArrayBuffer(8);
    const answers = new Int32Array(buffer);
    this.handle = { port: port2, answers: buffer, served };
    this.#port = port1;
    port1.on('message', (request: DeviceModelRequest) => {
      Atomics.store(answers, RESULT, serve(request));
      Atomics.add(answers, ANSWERED, 1);
      Atomics.notify(answers, ANSWERED);
    });
    // it serves for as long as there is a process, and keeps none alive
    port1.unref();
  }

  close(): void {
    this.#port.close();
  }
}
