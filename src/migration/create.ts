/**
 * Puts migrations together for a process: a core of its own for the link, the process's clock.
 */
import { realTimers } from '../hardware/clock.js';
import { PAGE_BYTES } from '../hardware/units.js';
import { discardVcpuThread, prepareVcpuThread } from '../hypervisor/vcpu-threads.js';
import { parseAddress } from './channel.js';
import { DestinationMigration, type DestinationMigrationOptions } from './destination.js';
import { ReceiverWorker } from './receiver-worker.js';
import { SenderWorker } from './sender-worker.js';
import { SourceMigration, type SourceMigrationOptions } from './source.js';
import { STREAM_COUNTERS } from './source-stream.js';

export interface SourceSetup
  extends Pick<SourceMigrationOptions, 'vm' | 'device' | 'parameters' | 'onPhase' | 'onRound'> {
  /** tcp:HOST:PORT, unix:PATH, or file:PATH to save. */
  readonly to: string;
}

/** Throws AddressError for an address that is none; nothing is started before run(). */
export function createSourceMigration(setup: SourceSetup): SourceMigration {
  const { vm, device, parameters, onPhase, onRound, to } = setup;
  const { kind } = parseAddress(to);
  const map = new SharedArrayBuffer(vm.ramBytes / PAGE_BYTES);
  const counters = new SharedArrayBuffer(STREAM_COUNTERS * 8);
  return new SourceMigration({
    vm,
    device,
    stream: () => new SenderWorker({ to, memory: vm.memory, ramBytes: vm.ramBytes, map, counters }),
    map: new Uint8Array(map),
    counters: new Float64Array(counters),
    clock: realTimers,
    parameters,
    oneWay: kind === 'file',
    onPhase,
    onRound,
  });
}

export interface DestinationSetup
  extends Pick<DestinationMigrationOptions, 'host' | 'stepLimitMs' | 'onPhase' | 'onOffer'> {
  /** tcp:HOST:PORT (port 0: any), unix:PATH, or file:PATH to restore. */
  readonly listen: string;
  /** The longest silence of a source that owes something. */
  readonly silenceLimitMs?: number;
}

const DEFAULT_SILENCE_LIMIT_MS = 30_000;

/** Throws AddressError for an address that is none. listen(), then run(). */
export function createDestinationMigration(setup: DestinationSetup): DestinationMigration {
  const { host, stepLimitMs, onPhase, onOffer, listen } = setup;
  parseAddress(listen);
  const stream = new ReceiverWorker({
    listen,
    silenceLimitMs: setup.silenceLimitMs ?? DEFAULT_SILENCE_LIMIT_MS,
  });
  // loaded before there is an offer: it takes longer than the source's first round
  prepareVcpuThread();
  return new DestinationMigration({
    host,
    stream,
    clock: realTimers,
    stepLimitMs,
    onPhase(phase) {
      // of no use any more if no guest took it
      if (phase === 'running' || phase === 'failed') void discardVcpuThread();
      onPhase?.(phase);
    },
    onOffer,
  });
}
