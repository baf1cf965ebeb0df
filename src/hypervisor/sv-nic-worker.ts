/** One core of a self-virtualizing device, as the main thread holds it. */
import { Worker } from 'node:worker_threads';
import { BELL_BYTES, ringBell } from '../virtio/device-words.js';
import { NicError } from './nic.js';
import type { SvNicCoreStats, SvNicOwnCommand, SvNicReply, SvNicWorkerData } from './sv-nic-messages.js';
import { WorkerDialogue, type WorkerEnd } from './worker-dialogue.js';

export class SvNicWorker {
  readonly bell = new SharedArrayBuffer(BELL_BYTES);
  readonly dialogue: WorkerDialogue<SvNicOwnCommand, SvNicCoreStats, NicError>;

  /** `onDeath`: it threw. What it finds wrong before it is ready, its dialogue tells. */
  constructor(data: Omit<SvNicWorkerData, 'bell'>, onDeath: (error: NicError) => void) {
    const bell = new Int32Array(this.bell);
    const worker = new Worker(new URL('./sv-nic-core.js', import.meta.url), {
      workerData: { ...data, bell: this.bell } satisfies SvNicWorkerData,
      name: `sv-nic ${data.core}`,
    });
    const dialogue: typeof this.dialogue = new WorkerDialogue({
      post: (command) => {
        worker.postMessage(command);
        ringBell(bell);
      },
      errorOf: (end) => errorOf(`core ${data.core} of the self-virtualizing device`, end),
      onFailure: (error, end) => {
        if (end.kind === 'died') onDeath(error);
      },
    });
    this.dialogue = dialogue;
    worker.on('message', (reply: SvNicReply) => dialogue.onReply(reply));
    worker.on('error', (cause) => dialogue.onError(cause));
    worker.once('exit', () => dialogue.onExit());
  }
}

function errorOf(core: string, end: WorkerEnd): NicError {
  switch (end.kind) {
    case 'failed':
      return new NicError(`${core}: ${end.message}`);
    case 'died':
      return new NicError(`${core} died: ${end.cause.message}`, { cause: end.cause });
    case 'ended':
      return new NicError(`${core} has ended`);
  }
}
