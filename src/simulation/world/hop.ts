/**
 * One migration of a run: the source's engine and the destination's, over a link of their own, and how both ended.
 *
 *   begin -> SourceMigration.run() ==link== DestinationMigration.run() -> settled: each ended, or its host crashed
 *   begin -> SourceMigration.run() --file-> saved -> DestinationMigration.run()
 */
import type { VirtualMachine } from '../../hypervisor/vm.js';
import { DestinationMigration, type DestinationPhase } from '../../migration/destination.js';
import { LocalDestinationStream } from '../../migration/destination-stream.js';
import type { HarvestReport, TrackerReport } from '../../migration/device-migrator.js';
import type { Phase } from '../../migration/phases.js';
import type { SourceVm } from '../../migration/ports.js';
import type { MigrationReport } from '../../migration/report.js';
import { SourceMigration } from '../../migration/source.js';
import { LocalSourceStream, STREAM_COUNTERS } from '../../migration/source-stream.js';
import type { Choices } from '../clockwork/choices.js';
import type { Scheduler } from '../clockwork/scheduler.js';
import { MigrationLink } from '../network/migration-link.js';
import type { SimDisk } from '../network/sim-disk.js';
import type { CopyStage } from './interleavings.js';
import { type RunPlan, SILENCE_LIMIT_MS, STALL_LIMIT_MS, STEP_LIMIT_MS } from './plan.js';
import type { PluginFaults } from './plugin-faults.js';
import { CRASHED, type SimHost, unlessCrashed } from './sim-host.js';
import { WatchedDevice } from './watched-device.js';

export type SourceEnd =
  | { readonly kind: 'ended'; readonly report: MigrationReport }
  | { readonly kind: 'crashed' };

export type DestinationEnd =
  | { readonly kind: 'running' }
  | { readonly kind: 'failed'; readonly error: Error }
  | { readonly kind: 'crashed' };

export interface HopListener {
  onPhase(hop: Hop, phase: Phase): void;
  onDestinationPhase(hop: Hop, phase: DestinationPhase): void;
  onHarvest(hop: Hop, marks: Uint8Array, report: HarvestReport): void;
  /** Tracking has ended. */
  onTracked(report: TrackerReport): void;
  /** Both dirty logs of a round, one byte per page. */
  onBothHarvested(hop: Hop, dma: Uint8Array, cpu: Uint8Array): void;
  onNote(text: string): void;
}

export interface HopOptions {
  readonly number: number;
  readonly scheduler: Scheduler;
  readonly choices: Choices;
  readonly plan: RunPlan;
  readonly source: SimHost;
  readonly destination: SimHost;
  readonly faults: PluginFaults;
  readonly listener: HopListener;
  /** Through a file on it, not over a link. */
  readonly disk: SimDisk | null;
}

/** The file has its last frame, whatever became of the source afterwards. */
const isWhole = ({ outcome, recovery }: MigrationReport): boolean =>
  outcome === 'completed' || recovery === 'destination-owns';

/** The guest goes on at the source. */
export const cameBack = ({ outcome, recovery }: MigrationReport): boolean =>
  outcome === 'cancelled' || (outcome === 'failed' && recovery !== 'destination-owns');

/** Where a VM is saved. */
const FILE = 'saved.srvm';
/** A link whose other end is silent is given up by the engines, not by the transport. */
const GIVE_UP_NS = 5e9;

export class Hop {
  readonly number: number;
  readonly source: SimHost;
  readonly destination: SimHost;
  readonly link: MigrationLink;
  /** The VM that moves, as it was at the source. */
  readonly sourceVm: VirtualMachine;
  /** One byte per page: still to be sent in this round. */
  readonly due: Uint8Array;
  sourceEnd: SourceEnd | null = null;
  destinationEnd: DestinationEnd | null = null;
  /** The source has begun to undo: its memory is no measure any more. */
  isRollingBack = false;
  isQuiesced = false;
  /** When tracking had begun, and the last harvest began. */
  trackingSinceNs = Infinity;
  harvestSinceNs = 0;
  trackerReport: TrackerReport | null = null;
  phase: Phase = { phase: 'none' };
  #isHarvesting = false;
  #marks: Uint8Array | null = null;
  readonly #o: HopOptions;
  readonly #outgoing: SourceMigration;
  readonly #incoming: DestinationMigration;

  constructor(options: HopOptions) {
    const { scheduler, choices, plan, source, destination, number } = options;
    this.#o = options;
    this.number = number;
    this.source = source;
    this.destination = destination;
    this.sourceVm = source.vm!;
    this.due = new Uint8Array(this.sourceVm.layout.ramPages);
    this.link = new MigrationLink(scheduler, choices.fork('link'), [source.time, destination.time], {
      ...plan.link,
      giveUpNs: GIVE_UP_NS,
    });
    this.#incoming = this.#makeDestination();
    this.#outgoing = this.#makeSource();
  }

  /** Resolves when both ends have ended, or are gone. */
  async run(): Promise<void> {
    if (this.#o.disk === null) await this.#runOverLink();
    else await this.#runThroughFile();
  }

  async #runThroughFile(): Promise<void> {
    const { source, destination } = this.#o;
    const report = await unlessCrashed(source, this.#outgoing.run());
    this.sourceEnd = report === CRASHED ? { kind: 'crashed' } : { kind: 'ended', report };
    if (report === CRASHED || !isWhole(report)) {
      this.destinationEnd = { kind: 'failed', error: new Error('the file is not whole: nobody restores it') };
      return;
    }
    if (destination.isCrashed) {
      this.destinationEnd = { kind: 'crashed' };
      return;
    }
    try {
      const restored = this.#incoming.listen().then(() => this.#incoming.run());
      const result = await unlessCrashed(destination, restored);
      this.destinationEnd = result === CRASHED ? { kind: 'crashed' } : { kind: 'running' };
    } catch (error) {
      this.destinationEnd = { kind: 'failed', error: error as Error };
    }
  }

  async #runOverLink(): Promise<void> {
    const { source, destination } = this.#o;
    await unlessCrashed(destination, this.#incoming.listen());
    const incoming = unlessCrashed(destination, this.#incoming.run()).then(
      (result) => {
        this.destinationEnd = result === CRASHED ? { kind: 'crashed' } : { kind: 'running' };
      },
      (error: Error) => {
        this.destinationEnd = { kind: 'failed', error };
      },
    );
    const outgoing = unlessCrashed(source, this.#outgoing.run()).then((report) => {
      this.sourceEnd = report === CRASHED ? { kind: 'crashed' } : { kind: 'ended', report };
      // a destination that nobody ever reached would listen for ever
      if (this.#incoming.phase === 'listening') this.#incoming.cancel();
    });
    await Promise.all([incoming, outgoing]);
  }

  /** Where copying stands, for whoever sees DMA land. */
  get copyStage(): CopyStage {
    if (this.#isHarvesting) return 'harvest';
    if (this.phase.phase === 'pre-copy') return 'round';
    return this.phase.phase === 'stop-and-copy' && !this.isQuiesced ? 'quiescing' : 'other';
  }

  /** The user loses patience: as fast as the link, and no more rounds. */
  hurry(): void {
    this.#outgoing.setParameters({ 'max-bandwidth': 0, 'x-srvm-max-rounds': 1 });
  }

  cancel(by: 'source' | 'destination'): boolean {
    return by === 'source' ? this.#outgoing.cancel() : this.#incoming.cancel();
  }

  #makeSource(): SourceMigration {
    const { plan, source, listener, disk } = this.#o;
    const vm = this.#watch(source.sourceVm());
    const map = this.due;
    const counters = new Float64Array(STREAM_COUNTERS);
    const device = new WatchedDevice(source.deviceOf(this.sourceVm), {
      identified: () => this.#o.faults.pass('identity'),
      started: () => {
        this.trackingSinceNs = this.#o.scheduler.nowNs();
      },
      harvestBegins: () => {
        this.#isHarvesting = true;
        this.harvestSinceNs = this.#o.scheduler.nowNs();
      },
      harvested: (marks, report) => {
        this.#isHarvesting = false;
        this.#marks = marks;
        listener.onHarvest(this, marks, report);
      },
      rollingBack: () => {
        this.isRollingBack = true;
      },
      quiesced: () => {
        this.isQuiesced = true;
      },
      stopped: (report) => {
        this.trackerReport = report;
        listener.onTracked(report);
      },
    });
    return new SourceMigration({
      vm,
      device,
      stream: () =>
        new LocalSourceStream({
          open: () => (disk === null ? this.link.open() : disk.save(FILE, source.time)),
          memory: vm.memory,
          ramBytes: vm.ramBytes,
          map,
          counters,
          clock: source.time,
          backed: null,
          batchPages: plan.batchPages,
          stallLimitMs: STALL_LIMIT_MS,
        }),
      map,
      counters,
      clock: source.time,
      parameters: plan.parameters,
      oneWay: disk !== null,
      onPhase: (phase) => {
        this.phase = phase;
        listener.onPhase(this, phase);
      },
    });
  }

  /** Letting go of it can fail. The vCPU's log is taken right after the tracker's marks: then both are known. */
  #watch(port: SourceVm): SourceVm {
    const harvestCpuDirty = (into: Uint8Array): number => {
      const pages = port.harvestCpuDirty(into);
      if (this.#marks !== null) this.#o.listener.onBothHarvested(this, this.#marks, into);
      this.#marks = null;
      return pages;
    };
    const retire: SourceVm['retire'] = (outcome) => {
      if (outcome === 'postmigrate') this.#o.faults.pass('retire');
      port.retire(outcome);
    };
    return Object.create(port, {
      harvestCpuDirty: { value: harvestCpuDirty },
      retire: { value: retire },
    }) as SourceVm;
  }

  #makeDestination(): DestinationMigration {
    const { destination, listener, disk } = this.#o;
    return new DestinationMigration({
      host: destination.destination,
      stream: new LocalDestinationStream({
        listen: async () => (disk === null ? this.link.listening() : disk.restore(FILE, destination.time)),
        clock: destination.time,
        oneWay: disk !== null,
        silenceLimitMs: SILENCE_LIMIT_MS,
      }),
      clock: destination.time,
      stepLimitMs: STEP_LIMIT_MS,
      onPhase: (phase) => listener.onDestinationPhase(this, phase),
    });
  }
}
