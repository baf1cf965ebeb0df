/**
 * SourceMigration: the engine on the side that has the VM. It drives the phases of phases.ts over injected ports: the VM,
 * its device, the stream, the clock.
 *
 *   run() -> reservation -> pre-copy (rounds until `decide` says stop) -> stop-and-copy -> commitment -> activation
 *     `--------------- any failure or cancel before COMMIT ------------> recover: the guest goes on here
 *
 * Order at the stop: vCPU paused, device quiet, both logs harvested, rest sent, states sent. COMMIT is the point of no
 * return: from the moment it is handed to the link this VM is never resumed, whatever is heard afterwards.
 */

import { type Decision, decide } from './convergence.js';
import type { DeviceMigrator, TrackerReport } from './device-migrator.js';
import { DirtyRounds, type Harvest } from './dirty-rounds.js';
import {
  ChannelError,
  MigrationCancelledError,
  messageOf,
  OutcomeUnknownError,
  ProtocolError,
  VerifyError,
} from './errors.js';
import { Interruptible } from './interruptible.js';
import { DEFAULT_PARAMETERS, type MigrationParameters, withParameters } from './parameters.js';
import { PHASES, type Phase, PhaseMachine } from './phases.js';
import type { SourceVm, TimerClock } from './ports.js';
import { recoverSource } from './recovery.js';
import { type MigrationReport, REPORT_SCHEMA_VERSION, type RoundReport } from './report.js';
import { SourceDialogue } from './source-dialogue.js';
import { type SourceStream, STREAM_COUNTER } from './source-stream.js';
import { SourceTimeline } from './source-timeline.js';
import type { MigrationInfo } from './stats.js';
import { FRAME, PROTOCOL_VERSION } from './stream/frame.js';
import { decodeReady, decodeRunning, type Offer } from './stream/records.js';
import { decodeRoundMarker } from './stream/round-marker.js';
import { namePages } from './verify.js';

export interface SourceMigrationOptions {
  readonly vm: SourceVm;
  /** Null for a VM without a passed-through device. */
  readonly device: DeviceMigrator | null;
  /** Makes the stream: called when the migration begins. */
  readonly stream: () => SourceStream;
  /** What the stream sends next, one byte per page; shared with it. */
  readonly map: Uint8Array;
  /** The stream's counters; shared with it. */
  readonly counters: Float64Array;
  readonly clock: TimerClock;
  readonly parameters?: MigrationParameters;
  /** A file: nobody answers, and the VM stays here, stopped. */
  readonly oneWay?: boolean;
  readonly onPhase?: (phase: Phase) => void;
  readonly onRound?: (round: RoundReport) => void;
}

interface SavedStates {
  readonly vmState: Uint8Array;
  readonly deviceState: Uint8Array;
}

/** How long undoing waits for a step that was interrupted. */
const SETTLE_LIMIT_MS = 5000;
/** A round over a slow link may take hours; a dead link is noticed by the stream. */
const ROUND_LIMIT_MS = 24 * 3600 * 1000;

export class SourceMigration {
  readonly #o: SourceMigrationOptions;
  readonly #phases: PhaseMachine;
  readonly #dialogue: SourceDialogue;
  readonly #timeline: SourceTimeline;
  readonly #dirty: DirtyRounds;
  #parameters: MigrationParameters;
  #wasRunning = false;
  #trackerReport: TrackerReport | null = null;
  #finished: Promise<MigrationReport> | null = null;

  constructor(options: SourceMigrationOptions) {
    this.#o = options;
    this.#parameters = options.parameters ?? DEFAULT_PARAMETERS;
    this.#timeline = new SourceTimeline(options.vm, options.clock);
    this.#phases = new PhaseMachine((phase) => {
      this.#timeline.phase(phase.phase);
      options.onPhase?.(phase);
    });
    this.#dialogue = new SourceDialogue(
      options.stream,
      options.clock,
      this.#parameters['x-srvm-step-timeout'],
    );
    this.#dirty = new DirtyRounds(options.vm, options.device, options.map);
  }

  get phase(): Phase {
    return this.#phases.now;
  }

  /** QEMU's query-migrate, at any moment. */
  info(): MigrationInfo {
    const { counters, clock } = this.#o;
    return this.#timeline.stats.info(PHASES[this.#phases.now.phase].status, clock.nowNs(), {
      bytes: counters[STREAM_COUNTER.bytes]!,
      dataPages: counters[STREAM_COUNTER.dataPages]!,
      zeroPages: counters[STREAM_COUNTER.zeroPages]!,
    });
  }

  /** migrate-set-parameters while it runs: new limits count from the next decision on. */
  setParameters(changes: Readonly<Record<string, unknown>>): void {
    this.#parameters = withParameters(this.#parameters, changes);
    this.#dialogue.stepLimitMs = this.#parameters['x-srvm-step-timeout'];
    if (this.#phases.now.phase === 'pre-copy')
      this.#dialogue.stream.setBandwidth(this.#parameters['max-bandwidth']);
  }

  /** Ends it, the guest going on here. Returns false when it is too late: committed or over. */
  cancel(): boolean {
    if (this.#phases.isCommitted || this.#phases.now.phase === 'failed') return false;
    this.#dialogue.steps.cancel();
    return true;
  }

  /** Runs the migration once. Never rejects: the report says how it ended. */
  run(): Promise<MigrationReport> {
    this.#finished ??= this.#run();
    return this.#finished;
  }

  async #run(): Promise<MigrationReport> {
    this.#timeline.start();
    this.#phases.to({ phase: 'pre-migration' });
    try {
      await this.#reserve();
      await this.#preCopy();
      await this.#stopAndCopy();
      await this.#commit();
      await this.#letGo();
    } catch (error) {
      await this.#end(await this.#dialogue.explain(error as Error));
    }
    return this.#report();
  }

  async #reserve(): Promise<void> {
    const { vm, device, oneWay } = this.#o;
    const identity = device?.identity ?? null;
    this.#phases.to({ phase: 'reservation' });
    // the tracker's core is loaded while the link is made and the destination decides
    device?.prepare?.();
    await this.#dialogue.linkStep('connecting', () => this.#dialogue.stream.connect());
    const offer: Offer = {
      ...vm.offer,
      protocol: PROTOCOL_VERSION,
      plugin: identity && {
        name: identity.name,
        version: identity.version,
        options: identity.options,
      },
      verify: this.#parameters['x-srvm-verify'],
      startRunning: vm.isRunning,
    };
    await this.#dialogue.send(FRAME.hello, offer);
    if (!oneWay) await this.#dialogue.expect(FRAME.accept);
  }

  async #preCopy(): Promise<void> {
    const { vm, device } = this.#o;
    const stream = this.#dialogue.stream;
    this.#wasRunning = vm.isRunning;
    this.#phases.to({ phase: 'pre-copy', round: 1 });
    stream.setBandwidth(this.#parameters['max-bandwidth']);
    this.#dirty.trackingStarts();
    // both logs run before the first page is read
    await Promise.all([
      this.#step('switching to the logging build', () => vm.useBuild('logging')),
      this.#step('starting the tracker', async () => device?.start()),
    ]);
    this.#dirty.trackingStarted();
    this.#timeline.setupDone();
    let due: Harvest = { cpuOnly: 0, dmaOnly: 0, both: 0, pages: this.#o.map.length, notes: [] };
    let polishRounds = 0;
    for (let round = 1; ; round++) {
      if (round > 1) this.#phases.to({ phase: 'pre-copy', round });
      const traffic = await this.#sendRound(round, due);
      if (round === 1 && !this.#o.oneWay) await this.#dialogue.untilPrepared();
      const before = due.pages;
      due = await this.#step('harvesting dirty pages', () => this.#dirty.harvest());
      this.#timeline.harvested(due.pages, this.#sentPages);
      const decision = decide(
        {
          round,
          remainingPages: due.pages,
          previousRemainingPages: before,
          bytesPerMs: this.#timeline.bytesPerMs,
          roundBytes: traffic.bytes,
          polishRounds,
          throttlePercent: this.#timeline.stats.throttlePercent,
        },
        this.#parameters,
      );
      this.#noteDecision(decision);
      const report = this.#timeline.endRound(due, decision.expectedDowntimeMs);
      this.#o.onRound?.(report);
      if (decision.action === 'stop') return;
      if (decision.why === 'polishing') polishRounds++;
    }
  }

  #noteDecision(decision: Decision): void {
    const { stats } = this.#timeline;
    stats.expectedDowntimeMs = decision.expectedDowntimeMs;
    if (decision.throttlePercent !== stats.throttlePercent) {
      stats.throttlePercent = decision.throttlePercent;
      this.#o.vm.setThrottle(decision.throttlePercent);
    }
    if (decision.why === 'maximum-rounds') {
      const expected = Math.round(decision.expectedDowntimeMs);
      this.#timeline.note(`stopped after the maximum of rounds, with ${expected} ms of downtime expected`);
    }
  }

  async #sendRound(round: number, due: Harvest): Promise<{ bytes: number }> {
    const stream = this.#dialogue.stream;
    const { oneWay } = this.#o;
    this.#timeline.beginRound(round, due);
    // no limit of its own: how long a round takes is the link's affair; that the link is alive is the stream's
    const traffic = await this.#dialogue.linkStep(
      'sending pages',
      () => stream.sendRound(round),
      ROUND_LIMIT_MS,
    );
    if (!oneWay) {
      const answer = decodeRoundMarker((await this.#dialogue.expect(FRAME.roundDone)).payload);
      if (answer.round !== round)
        throw new ProtocolError(`round ${round} was answered as round ${answer.round}`);
    }
    this.#timeline.roundSent(traffic);
    return traffic;
  }

  async #stopAndCopy(): Promise<void> {
    const { vm, device } = this.#o;
    const stream = this.#dialogue.stream;
    this.#phases.to({ phase: 'stop-and-copy' });
    stream.setBandwidth(0);
    const { timed, parts } = this.#timeline;
    if (this.#wasRunning && device?.beforePause) {
      parts.beforePauseMs = await timed(() =>
        this.#step('getting the guest ready', async () => device.beforePause?.()),
      );
    }
    this.#timeline.stopped();
    if (this.#wasRunning) {
      parts.pauseVcpuMs = await timed(() => this.#step('pausing the vCPU', () => vm.pause()));
    }
    parts.quiesceMs = await timed(() => this.#step('quiescing the device', async () => device?.quiesce()));
    let due: Harvest | undefined;
    parts.lastHarvestMs = await timed(async () => {
      due = await this.#step('the last harvest', () => this.#dirty.harvest());
    });
    this.#timeline.harvested(due!.pages, this.#sentPages);
    const round = this.#timeline.rounds.length + 1;
    this.#timeline.beginRound(round, due!);
    const [states] = await Promise.all([
      this.#saveStates(),
      timed(async () => {
        const traffic = await this.#dialogue.linkStep('sending the last pages', () =>
          stream.sendRound(round),
        );
        this.#timeline.roundSent(traffic);
      }).then((ms) => {
        parts.lastPagesMs = ms;
      }),
    ]);
    const report = this.#timeline.endRound({ pages: 0, notes: due!.notes }, 0, true);
    this.#o.onRound?.(report);
    if (this.#parameters['x-srvm-verify']) {
      parts.verifyMs = await timed(() =>
        this.#dialogue.linkStep('hashing memory', () => stream.sendHashes()),
      );
    }
    parts.untilReadyMs = await timed(() => this.#handOver(round, states));
  }

  /**
   * The device first: until its state is read it may send an interrupt (one that moderation held back), which is then in
   * the vCPU's; one that it sends later is a cause in its own state still. The other way round it would be in neither.
   */
  async #saveStates(): Promise<SavedStates> {
    const { vm, device } = this.#o;
    const { timed, parts } = this.#timeline;
    let deviceState = new Uint8Array();
    let vmState = new Uint8Array();
    parts.deviceSaveMs = await timed(async () => {
      if (device)
        deviceState = Uint8Array.from(await this.#step('saving the device', () => device.saveState()));
    });
    parts.vmSaveMs = await timed(async () => {
      vmState = Uint8Array.from(await this.#step('saving the vCPU', () => vm.saveVmState()));
    });
    return { vmState, deviceState };
  }

  async #handOver(round: number, { vmState, deviceState }: SavedStates): Promise<void> {
    const stream = this.#dialogue.stream;
    const { device, oneWay } = this.#o;
    // handed over together: the stream keeps their order
    await Promise.all([
      this.#dialogue.linkStep('sending the vCPU state', () => stream.sendState(FRAME.vmState, vmState)),
      device &&
        this.#dialogue.linkStep('sending the device state', () =>
          stream.sendState(FRAME.deviceState, deviceState),
        ),
      this.#dialogue.send(FRAME.end, { round }),
    ]);
    if (oneWay) return;
    await this.#dialogue.expect(FRAME.roundDone);
    const ready = decodeReady((await this.#dialogue.expect(FRAME.ready)).payload);
    this.#timeline.parts.prepareWaitMs = ready.prepareWaitMs;
    this.#timeline.parts.restoreMs = ready.restoreMs;
    this.#timeline.verdict = ready.verdict;
    if (ready.verdict && ready.verdict.pagesDiffering > 0) {
      const named = namePages(ready.verdict.differing, ready.verdict.pagesDiffering);
      throw new VerifyError(
        `memory at the destination differs from the source: ${named}; nothing was handed over`,
      );
    }
  }

  async #commit(): Promise<void> {
    const { vm, oneWay } = this.#o;
    if (this.#dialogue.steps.isCancelled) throw new MigrationCancelledError('the migration was cancelled');
    if (oneWay) {
      // a file is nobody's VM before it is whole: until its last frame is written, the guest can go on here
      await this.#dialogue.send(FRAME.commit, {});
      this.#phases.to({ phase: 'commitment' });
    } else {
      this.#phases.to({ phase: 'commitment' });
      this.#timeline.parts.commitMs = await this.#timeline.timed(async () => {
        await this.#dialogue.send(FRAME.commit, {});
        const running = decodeRunning((await this.#dialogue.expect(FRAME.running)).payload);
        this.#timeline.parts.activateMs = running.activateMs;
      });
    }
    this.#timeline.runsThere();
    this.#phases.to({ phase: 'activation' });
    vm.retire('postmigrate');
  }

  /** The VM is the destination's; what is left here is let go of. Failures here are notes: nothing can be undone. */
  async #letGo(): Promise<void> {
    // two threads end: neither waits for the other
    await Promise.all([
      this.#stopDevice(),
      this.#quietly('closing the stream', () => this.#dialogue.stream.close()),
    ]);
    this.#timeline.end();
    this.#phases.to({ phase: 'done' });
  }

  async #end(error: Error): Promise<void> {
    if (this.#phases.isCommitted) {
      await this.#endCommitted(error);
      return;
    }
    const { vm, device, clock } = this.#o;
    const during = this.#phases.now.phase;
    const { recovery } = PHASES[during];
    // the guest may be standing: the link is let go of beside its recovery, not before it
    const gaveUp = this.#quietly('closing the stream', () => this.#dialogue.giveUp(error));
    const allSettled = await this.#dialogue.steps.settled(SETTLE_LIMIT_MS);
    if (!allSettled) this.#timeline.note('a step that was interrupted has not ended; recovering without it');
    const trouble = await recoverSource(recovery, { vm, device, wasRunning: this.#wasRunning }, clock);
    for (const sentence of trouble) this.#timeline.note(sentence);
    if (recovery === 'stop-tracking' || recovery === 'resume-vm') await this.#stopDevice();
    // it was prepared, and never started: there is nothing to report
    else if (recovery === 'close-stream' && device?.prepare) {
      await this.#quietly('ending the tracker', async () => void (await device.stop()));
    }
    await gaveUp;
    this.#timeline.failed(error);
    if (error instanceof MigrationCancelledError) this.#phases.cancel();
    else this.#phases.fail(error);
  }

  async #endCommitted(error: Error): Promise<void> {
    const { vm } = this.#o;
    const stream = this.#dialogue.stream;
    const unknown = this.#phases.now.phase === 'commitment';
    if (unknown) vm.retire('outcome-unknown');
    await this.#stopDevice();
    await this.#quietly('closing the stream', () => stream.close());
    const sentence = unknown
      ? `COMMIT was sent and no answer came (${error.message}): the guest may run at the destination, so it stays ` +
        'stopped here; look at the destination before you start it again'
      : error.message;
    const outcome = unknown ? new OutcomeUnknownError(sentence) : error;
    this.#timeline.failed(outcome);
    this.#phases.fail(outcome);
  }

  async #stopDevice(): Promise<void> {
    await this.#quietly('stopping the tracker', async () => {
      this.#trackerReport = (await this.#o.device?.stop()) ?? null;
    });
  }

  /** Bounded, and a failure is only noted. */
  async #quietly(what: string, action: () => Promise<void>): Promise<void> {
    await new Interruptible(this.#o.clock).run(what, this.#dialogue.stepLimitMs, action).catch((error) => {
      if (!(error instanceof ChannelError)) this.#timeline.note(`${what}: ${messageOf(error)}`);
    });
  }

  get #sentPages(): number {
    const { counters } = this.#o;
    return counters[STREAM_COUNTER.dataPages]! + counters[STREAM_COUNTER.zeroPages]!;
  }

  #step<T>(what: string, action: () => Promise<T>): Promise<T> {
    return this.#dialogue.step(what, action);
  }

  #report(): MigrationReport {
    const now = this.#phases.now;
    const failed = now.phase === 'failed' || now.phase === 'cancelled' ? now : null;
    const error = now.phase === 'failed' ? now.error : null;
    return {
      schemaVersion: REPORT_SCHEMA_VERSION,
      vm: this.#o.vm.offer.vmName,
      image: this.#o.vm.offer.imageName,
      ramBytes: this.#o.vm.ramBytes,
      outcome: !failed
        ? 'completed'
        : now.phase === 'cancelled'
          ? 'cancelled'
          : error instanceof OutcomeUnknownError
            ? 'outcome-unknown'
            : 'failed',
      error: error?.message ?? null,
      failedDuring: failed?.during ?? null,
      recovery: failed?.recovery ?? null,
      ...this.#timeline.summary(),
      bytes: this.#o.counters[STREAM_COUNTER.bytes]!,
      senderCpuNs: this.#dialogue.cpuNs,
      tracker: this.#trackerReport,
      dmaCoverage: this.#timeline.downtimeStarted ? this.#dirty.coverage() : null,
    };
  }
}
