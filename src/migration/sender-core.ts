/**
 * The sender core: a worker that lives during one migration, owns the link and copies pages, so that neither the guest
 * nor the main thread is kept from its work. It is only the loop round LocalSourceStream.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { realTimers } from '../hardware/clock.js';
import { nameThread } from '../hypervisor/thread-cpu.js';
import { findBackedPages } from './backed-pages.js';
import { parseAddress } from './channel.js';
import { serveCalls } from './core-calls.js';
import { openChannel } from './open-channel.js';
import { LocalSourceStream } from './source-stream.js';

export interface SenderCoreData {
  readonly to: string;
  readonly memory: WebAssembly.Memory;
  readonly ramBytes: number;
  readonly map: SharedArrayBuffer;
  readonly counters: SharedArrayBuffer;
}

const data = workerData as SenderCoreData;
const address = parseAddress(data.to);

nameThread('srvm sender');
serveCalls(
  parentPort!,
  new LocalSourceStream({
    open: () => openChannel(address),
    memory: data.memory,
    ramBytes: data.ramBytes,
    map: new Uint8Array(data.map),
    counters: new Float64Array(data.counters),
    clock: realTimers,
    backed: findBackedPages(data.memory, data.ramBytes),
  }),
  ['connect', 'sendRecord', 'sendState', 'sendRound', 'sendHashes', 'nextFrame', 'setBandwidth', 'close'],
);
