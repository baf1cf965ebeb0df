/** A source and a destination in one thread, over a real TCP connection. */
import { realTimers, type TimerClock } from '../../src/hardware/clock.js';
import type { Channel } from '../../src/migration/channel.js';
import { parseAddress } from '../../src/migration/channel.js';
import { DestinationMigration } from '../../src/migration/destination.js';
import { LocalDestinationStream } from '../../src/migration/destination-stream.js';
import { listenChannel, openChannel } from '../../src/migration/open-channel.js';
import { DEFAULT_PARAMETERS, withParameters } from '../../src/migration/parameters.js';
import { SourceMigration, type SourceMigrationOptions } from '../../src/migration/source.js';
import { LocalSourceStream, STREAM_COUNTERS } from '../../src/migration/source-stream.js';
import { FakeDevice, FakeHost, FakeSourceVm } from './fake-vm.js';

export interface PairOptions {
  readonly ramBytes?: number;
  readonly device?: boolean;
  readonly parameters?: Record<string, unknown>;
  /** Puts something between the source and its link. */
  readonly wrap?: (channel: Channel) => Channel;
  /** Puts something between the destination and its link. */
  readonly wrapDestination?: (channel: Channel) => Channel;
  readonly onPhase?: SourceMigrationOptions['onPhase'];
  readonly onRound?: SourceMigrationOptions['onRound'];
  readonly stepLimitMs?: number;
  readonly silenceLimitMs?: number;
  readonly stallLimitMs?: number;
  /** Of both ends. */
  readonly clock?: TimerClock;
  /** The source takes its stream. */
  readonly onStream?: () => void;
  /** Fills the source's memory. */
  readonly prepare?: (memory: WebAssembly.Memory) => void;
}

export async function createPair(options: PairOptions = {}) {
  const ramBytes = options.ramBytes ?? 16 * 1024 * 1024;
  const clock = options.clock ?? realTimers;
  const vm = new FakeSourceVm(ramBytes);
  options.prepare?.(vm.memory);
  const device = options.device ? new FakeDevice(ramBytes) : null;
  const host = new FakeHost(options.device);
  const destination = new DestinationMigration({
    host,
    clock,
    stepLimitMs: options.stepLimitMs,
    stream: new LocalDestinationStream({
      listen: async () => {
        const listener = await listenChannel(parseAddress('tcp:127.0.0.1:0'));
        const { wrapDestination } = options;
        if (wrapDestination === undefined) return listener;
        return { ...listener, accept: async () => wrapDestination(await listener.accept()) };
      },
      clock,
      oneWay: false,
      silenceLimitMs: options.silenceLimitMs ?? 5000,
    }),
  });
  const address = await destination.listen();
  const map = new Uint8Array(ramBytes / 4096);
  const counters = new Float64Array(STREAM_COUNTERS);
  const stream = new LocalSourceStream({
    open: async () => {
      const channel = await openChannel(parseAddress(address));
      return options.wrap ? options.wrap(channel) : channel;
    },
    memory: vm.memory,
    ramBytes,
    map,
    counters,
    clock,
    backed: null,
    stallLimitMs: options.stallLimitMs,
  });
  const source = new SourceMigration({
    vm,
    device,
    stream: () => {
      options.onStream?.();
      return stream;
    },
    map,
    counters,
    clock,
    parameters: withParameters(DEFAULT_PARAMETERS, { 'x-srvm-verify': true, ...options.parameters }),
    onPhase: options.onPhase,
    onRound: options.onRound,
  });
  return { vm, device, host, destination, source, address, stream };
}
