/**
 * The receiver core: a worker that listens, puts pages straight into the guest's shared memory, and hands the rest to the
 * engine. It is only the loop round LocalDestinationStream.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { realTimers } from '../hardware/clock.js';
import { nameThread } from '../hypervisor/thread-cpu.js';
import { parseAddress } from './channel.js';
import { serveCalls } from './core-calls.js';
import { LocalDestinationStream } from './destination-stream.js';
import { listenChannel } from './open-channel.js';

export interface ReceiverCoreData {
  readonly listen: string;
  readonly silenceLimitMs: number;
}

const data = workerData as ReceiverCoreData;
const address = parseAddress(data.listen);

nameThread('srvm receiver');
serveCalls(
  parentPort!,
  new LocalDestinationStream({
    listen: () => listenChannel(address),
    clock: realTimers,
    oneWay: address.kind === 'file',
    silenceLimitMs: data.silenceLimitMs,
  }),
  ['listen', 'nextFrame', 'attach', 'sendRecord', 'verdict', 'traffic', 'close'],
);
