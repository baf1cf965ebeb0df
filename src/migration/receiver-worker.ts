/** The destination's end of the stream in a worker of its own, as the engine holds it. */
import { Worker } from 'node:worker_threads';
import { workerFile } from '../hypervisor/worker-file.js';
import { CoreCalls } from './core-calls.js';
import type { DestinationStream, ReceivedTraffic } from './destination-stream.js';
import type { ReceiverCoreData } from './receiver-core.js';
import type { FrameType } from './stream/frame.js';
import type { ReceivedFrame } from './stream/frame-queue.js';
import type { VerifyVerdict } from './stream/records.js';

export class ReceiverWorker implements DestinationStream {
  readonly #calls: CoreCalls;

  constructor(data: ReceiverCoreData) {
    const worker = new Worker(workerFile(new URL('./receiver-core.js', import.meta.url)), {
      workerData: data,
      name: 'receiver',
    });
    this.#calls = new CoreCalls(worker, 'receiver core');
  }

  async listen(): Promise<string> {
    return (await this.#calls.call('listen')) as string;
  }

  async nextFrame(): Promise<ReceivedFrame> {
    return (await this.#calls.call('nextFrame')) as ReceivedFrame;
  }

  async attach(memory: WebAssembly.Memory, ramBytes: number): Promise<void> {
    await this.#calls.call('attach', memory, ramBytes);
  }

  async sendRecord(type: FrameType, payload: Uint8Array): Promise<void> {
    await this.#calls.call('sendRecord', type, payload);
  }

  async verdict(): Promise<VerifyVerdict> {
    return (await this.#calls.call('verdict')) as VerifyVerdict;
  }

  async traffic(): Promise<ReceivedTraffic> {
    return (await this.#calls.call('traffic')) as ReceivedTraffic;
  }

  get cpuNs(): number | null {
    return this.#calls.cpuNs;
  }

  close(): Promise<void> {
    return this.#calls.close();
  }
}
