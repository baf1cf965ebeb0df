/** The source's end of the stream in a worker of its own, as the engine holds it. */
import { Worker } from 'node:worker_threads';
import { workerFile } from '../hypervisor/worker-file.js';
import { CoreCalls } from './core-calls.js';
import type { SenderCoreData } from './sender-core.js';
import type { RoundTraffic, SourceStream } from './source-stream.js';
import type { FrameType } from './stream/frame.js';
import type { ReceivedFrame } from './stream/frame-queue.js';

export class SenderWorker implements SourceStream {
  readonly #calls: CoreCalls;

  constructor(data: SenderCoreData) {
    const worker = new Worker(workerFile(new URL('./sender-core.js', import.meta.url)), {
      workerData: data,
      name: 'sender',
    });
    this.#calls = new CoreCalls(worker, 'sender core');
  }

  async connect(): Promise<void> {
    await this.#calls.call('connect');
  }

  async sendRecord(type: FrameType, payload: Uint8Array): Promise<void> {
    await this.#calls.call('sendRecord', type, payload);
  }

  async sendState(type: FrameType, state: Uint8Array): Promise<void> {
    await this.#calls.call('sendState', type, state);
  }

  async sendRound(round: number): Promise<RoundTraffic> {
    return (await this.#calls.call('sendRound', round)) as RoundTraffic;
  }

  async sendHashes(): Promise<void> {
    await this.#calls.call('sendHashes');
  }

  async nextFrame(): Promise<ReceivedFrame> {
    return (await this.#calls.call('nextFrame')) as ReceivedFrame;
  }

  setBandwidth(bytesPerSecond: number): void {
    this.#calls.call('setBandwidth', bytesPerSecond).catch(() => {}); // a core that ended is noticed by the next step
  }

  get cpuNs(): number | null {
    return this.#calls.cpuNs;
  }

  close(): Promise<void> {
    return this.#calls.close();
  }
}
