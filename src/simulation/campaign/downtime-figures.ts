/**
 * How long the guest stands still, against how fast it dirties pages: the production migration engines of both ends over a
 * virtual link, each page charged with what looking, copying and hashing it was measured to cost.
 */
import { PAGE_BYTES } from '../../hardware/units.js';
import type { Channel } from '../../migration/channel.js';
import { DestinationMigration } from '../../migration/destination.js';
import { LocalDestinationStream } from '../../migration/destination-stream.js';
import { DEFAULT_PARAMETERS } from '../../migration/parameters.js';
import { SourceMigration } from '../../migration/source.js';
import { LocalSourceStream, STREAM_COUNTERS } from '../../migration/source-stream.js';
import { Choices } from '../clockwork/choices.js';
import { EventLog } from '../clockwork/event-log.js';
import { Scheduler } from '../clockwork/scheduler.js';
import { MigrationLink } from '../network/migration-link.js';
import type { MeasuredCosts } from './costs.js';
import { DirtyingVm, EmptyHost } from './dirtying-vm.js';

export interface DowntimeCase {
  readonly dirtyPagesPerSecond: number;
  readonly workingSetPages: number;
  readonly linkBytesPerSecond: number;
  readonly downtimeLimitMs: number;
}

export interface DowntimeFigure {
  readonly outcome: string;
  readonly downtimeMs: number;
  readonly totalMs: number;
  readonly rounds: number;
  readonly pagesSent: number;
}

const RAM_BYTES = 32 << 20;
const STEP_LIMIT_MS = 10_000;
/** A store that misses the cache. */
const WRITE_NS = 50;

export async function downtimeFigure(what: DowntimeCase, costs: MeasuredCosts): Promise<DowntimeFigure> {
  const choices = new Choices(1);
  const scheduler = new Scheduler({
    choices,
    log: new EventLog({ keep: 'none' }),
    limits: { maxEvents: Number.POSITIVE_INFINITY, maxVirtualMs: 60_000 },
  });
  const [here, there] = [scheduler.host('source'), scheduler.host('destination')];
  const vm = new DirtyingVm(scheduler, here, choices.fork('writes'), {
    ramBytes: RAM_BYTES,
    workingSetPages: what.workingSetPages,
    pagesPerSecond: what.dirtyPagesPerSecond,
    writeNs: WRITE_NS,
  });
  const link = new MigrationLink(scheduler, choices.fork('link'), [here, there], {
    bytesPerSecond: what.linkBytesPerSecond,
  });
  const incoming = new DestinationMigration({
    host: new EmptyHost(),
    stream: new LocalDestinationStream({
      listen: async () => link.listening(),
      clock: there,
      oneWay: false,
      silenceLimitMs: STEP_LIMIT_MS,
    }),
    clock: there,
    stepLimitMs: STEP_LIMIT_MS,
  });
  const map = new Uint8Array(RAM_BYTES / PAGE_BYTES);
  const counters = new Float64Array(STREAM_COUNTERS);
  const outgoing = new SourceMigration({
    vm,
    device: null,
    stream: () =>
      new LocalSourceStream({
        open: async () => charged(await link.open(), scheduler, costs.pageNs / PAGE_BYTES),
        memory: vm.memory,
        ramBytes: RAM_BYTES,
        map,
        counters,
        clock: here,
        backed: null,
      }),
    map,
    counters,
    clock: here,
    parameters: { ...DEFAULT_PARAMETERS, 'downtime-limit': what.downtimeLimitMs },
  });
  const work = run(incoming, outgoing);
  let isOver = false;
  const over = (): void => {
    isOver = true;
  };
  work.then(over, over);
  await scheduler.run(() => isOver);
  const { outcome, downtimeMs, totalMs, rounds } = await work;
  const pagesSent = rounds.reduce((sum, round) => sum + round.dataPages, 0);
  return { outcome, downtimeMs: downtimeMs ?? Number.NaN, totalMs, rounds: rounds.length, pagesSent };
}

async function run(incoming: DestinationMigration, outgoing: SourceMigration) {
  await incoming.listen();
  const [report] = await Promise.all([outgoing.run(), incoming.run()]);
  return report;
}

/** The sender's core is busy with a batch before the link gets it. */
function charged(channel: Channel, scheduler: Scheduler, nsPerByte: number): Channel {
  return {
    send: (bytes) => {
      scheduler.passTime(bytes.length * nsPerByte);
      return channel.send(bytes);
    },
    receive: (sink) => channel.receive(sink),
    close: () => channel.close(),
  };
}
