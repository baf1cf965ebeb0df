/**
 * DestinationMigration: the engine on the side that gets the VM. It decides on the offer, builds the VM while pages
 * arrive, restores it when everything is there, and owns it from COMMIT on.
 *
 *   hello -> reserve (refuse?) -> accept -> [pages, in the stream] -> states, end -> restore -> ready -> COMMIT -> resume -> running
 *     `------------------- anything fails, or the link is gone, before COMMIT: the VM is destroyed ----------'
 */
import type { DestinationStream } from './destination-stream.js';
import type { TrackerReport } from './device-migrator.js';
import {
  MigrationCancelledError,
  MigrationError,
  MigrationRefusedError,
  messageOf,
  PeerAbortedError,
  ProtocolError,
} from './errors.js';
import { Interruptible } from './interruptible.js';
import type { DestinationHost, DestinationVm, Reservation, TimerClock } from './ports.js';
import { FRAME, type FrameType, frameName, PROTOCOL_VERSION } from './stream/frame.js';
import type { ReceivedFrame } from './stream/frame-queue.js';
import {
  decodeAbort,
  decodeOffer,
  encodeRecord,
  type Offer,
  recordText,
  type VerifyVerdict,
} from './stream/records.js';

export type DestinationPhase = 'listening' | 'receiving' | 'restoring' | 'ready' | 'running' | 'failed';

export interface DestinationResult {
  readonly vm: DestinationVm;
  readonly offer: Offer;
  readonly verdict: VerifyVerdict | null;
  readonly dataPages: number;
  readonly zeroPages: number;
  readonly prepareWaitMs: number;
  readonly restoreMs: number;
  readonly activateMs: number;
  /** The monotonic clock when the guest's first instruction here could run. */
  readonly runningAtNs: number;
  /** CPU that receiving took on its own core; null where it had none. */
  readonly receiverCpuNs: number | null;
  /** What the plugin counted at this end; null without a device. */
  readonly tracker: TrackerReport | null;
  readonly notes: readonly string[];
}

export interface DestinationMigrationOptions {
  readonly host: DestinationHost;
  readonly stream: DestinationStream;
  readonly clock: TimerClock;
  /** Limit of each step on this side: reserving, building, restoring, waiting for COMMIT. */
  readonly stepLimitMs?: number;
  readonly onPhase?: (phase: DestinationPhase) => void;
  readonly onOffer?: (offer: Offer) => void;
}

interface Arrived {
  readonly vmState: Uint8Array;
  readonly deviceState: Uint8Array | null;
}

const DEFAULT_STEP_LIMIT_MS = 10000;
/** Pages may take as long as the link needs; that the source is alive is watched by the stream. */
const ARRIVAL_LIMIT_MS = 24 * 3600 * 1000;

export class DestinationMigration {
  readonly #o: DestinationMigrationOptions;
  readonly #steps: Interruptible;
  readonly #stepLimitMs: number;
  readonly #notes: string[] = [];
  #phase: DestinationPhase = 'listening';
  #reservation: Reservation | null = null;
  #committed = false;
  #tracker: TrackerReport | null = null;
  #finished: Promise<DestinationResult> | null = null;

  constructor(options: DestinationMigrationOptions) {
    this.#o = options;
    this.#steps = new Interruptible(options.clock);
    this.#stepLimitMs = options.stepLimitMs ?? DEFAULT_STEP_LIMIT_MS;
  }

  get phase(): DestinationPhase {
    return this.#phase;
  }

  /** Resolves with the address once a source can connect. */
  listen(): Promise<string> {
    return this.#o.stream.listen();
  }

  /** Resolves when the guest runs here. Rejects with the reason otherwise, everything given back. */
  run(): Promise<DestinationResult> {
    this.#finished ??= this.#run();
    return this.#finished;
  }

  /** Gives up, unless the VM is committed already. */
  cancel(): boolean {
    if (this.#committed || this.#phase === 'failed') return false;
    this.#steps.cancel();
    return true;
  }

  async #run(): Promise<DestinationResult> {
    try {
      const offer = await this.#reserve();
      const arrived = await this.#receive();
      return await this.#takeOver(offer, arrived);
    } catch (error) {
      await this.#fail(error as Error);
      throw error;
    } finally {
      await this.#o.stream.close();
    }
  }

  async #reserve(): Promise<Offer> {
    const { host, stream } = this.#o;
    const hello = await this.#steps.run('waiting for a source', ARRIVAL_LIMIT_MS, () => stream.nextFrame());
    if (hello.type !== FRAME.hello) throw this.#unexpected(hello);
    const offer = decodeOffer(hello.payload);
    if (offer.protocol !== PROTOCOL_VERSION) {
      throw new MigrationRefusedError(
        'protocol-version',
        `the source speaks protocol ${offer.protocol}, this end ${PROTOCOL_VERSION}: use the same srvm on both ends`,
      );
    }
    this.#o.onOffer?.(offer);
    const reservation = await this.#step('reserving', () => host.reserve(offer));
    this.#reservation = reservation;
    // a failure while building is reported when the VM is needed, or by the source's going away
    reservation.prepared.catch(() => {});
    if (reservation.ramBytes !== offer.ramBytes) {
      throw new MigrationRefusedError(
        'memory',
        `${offer.ramBytes} bytes of RAM offered, ${reservation.ramBytes} kept`,
      );
    }
    await stream.attach(reservation.memory, reservation.ramBytes);
    this.#to('receiving');
    await this.#send(FRAME.accept, {});
    this.#tellWhenPrepared(reservation);
    return offer;
  }

  /** The source does not stop its guest before it has heard this; a VM that cannot be built ends the migration at once. */
  #tellWhenPrepared({ prepared }: Reservation): void {
    const { stream } = this.#o;
    prepared
      .then(
        () => stream.sendRecord(FRAME.prepared, encodeRecord({})),
        (error) => stream.sendRecord(FRAME.abort, encodeRecord({ message: recordText(messageOf(error)) })),
      )
      // a link that is gone is noticed by whoever waits for its next frame
      .catch(() => {});
  }

  async #receive(): Promise<Arrived> {
    let vmState: Uint8Array | null = null;
    let deviceState: Uint8Array | null = null;
    for (;;) {
      const frame = await this.#steps.run('receiving', ARRIVAL_LIMIT_MS, () => this.#o.stream.nextFrame());
      if (frame.type === FRAME.vmState) vmState = frame.payload;
      else if (frame.type === FRAME.deviceState) deviceState = frame.payload;
      else if (frame.type === FRAME.end && vmState) return { vmState, deviceState };
      else throw this.#unexpected(frame);
    }
  }

  async #takeOver(offer: Offer, arrived: Arrived): Promise<DestinationResult> {
    const { stream, clock } = this.#o;
    this.#to('restoring');
    const verdict = offer.verify ? await this.#verdict(offer) : null;
    const beganNs = clock.nowNs();
    const vm = await this.#step('building the VM', () => this.#reservation!.prepared);
    const builtNs = clock.nowNs();
    const prepareWaitMs = (builtNs - beganNs) / 1e6;
    const differs = verdict !== null && verdict.pagesDiffering > 0;
    // memory that is wrong is not handed to a device; the source says no when it hears
    if (!differs) await this.#restore(vm, arrived);
    const restoreMs = (clock.nowNs() - builtNs) / 1e6;
    this.#to('ready');
    await this.#send(FRAME.ready, { verdict, restoreMs, prepareWaitMs });
    const commit = await this.#step('waiting for COMMIT', () => stream.nextFrame());
    if (commit.type !== FRAME.commit || differs) throw this.#unexpected(commit);
    this.#committed = true;
    const { activateMs, runningAtNs } = await this.#activate(vm, offer.startRunning);
    const traffic = await stream.traffic();
    return {
      vm,
      offer,
      verdict,
      dataPages: traffic.dataPages,
      zeroPages: traffic.zeroPages,
      prepareWaitMs,
      restoreMs,
      activateMs,
      runningAtNs,
      receiverCpuNs: stream.cpuNs ?? null,
      tracker: this.#tracker,
      notes: this.#notes,
    };
  }

  async #verdict(offer: Offer): Promise<VerifyVerdict> {
    const verdict = await this.#o.stream.verdict();
    const ramPages = offer.ramBytes / 4096;
    if (verdict.pagesCompared !== ramPages) {
      throw new ProtocolError(
        `hashes of ${verdict.pagesCompared} of ${ramPages} pages came: nothing can be said of the rest`,
      );
    }
    return verdict;
  }

  /** vCPU and interrupts first: restoring the device may raise interrupts on top of those that were pending. */
  async #restore(vm: DestinationVm, arrived: Arrived): Promise<void> {
    if ((vm.device === null) !== (arrived.deviceState === null)) {
      throw new ProtocolError(
        vm.device ? 'no device state came' : 'device state came for a VM without a device',
      );
    }
    await this.#step('restoring the vCPU', () => vm.restoreVmState(arrived.vmState));
    await this.#step('restoring the device', async () => vm.device?.restoreState(arrived.deviceState!));
  }

  async #activate(
    vm: DestinationVm,
    startRunning: boolean,
  ): Promise<{ activateMs: number; runningAtNs: number }> {
    const { clock } = this.#o;
    const beganNs = clock.nowNs();
    if (startRunning) await vm.resume();
    const runningAtNs = clock.nowNs();
    const activateMs = (runningAtNs - beganNs) / 1e6;
    this.#to('running');
    // the network is told first: until it knows, packets still go to the source
    await Promise.all([
      this.#noted('announcing to the network', async () => vm.device?.announce()),
      this.#noted('answering RUNNING', () => this.#send(FRAME.running, { activateMs, runningAtNs })),
    ]);
    await this.#noted('ending the device migration', async () => {
      this.#tracker = (await vm.device?.stop()) ?? null;
    });
    return { activateMs, runningAtNs };
  }

  /** The guest runs: from here on trouble is worth a note, no more. */
  async #noted(what: string, action: () => Promise<void>): Promise<void> {
    await this.#step(what, action).catch((error) => this.#notes.push(`${what}: ${messageOf(error)}`));
  }

  async #fail(error: Error): Promise<void> {
    this.#to('failed');
    const { stream } = this.#o;
    // not waited for: close() lets it go out, if the link still takes anything
    if (error instanceof MigrationRefusedError) {
      const refusal = { reason: error.reason, message: recordText(error.message) };
      stream.sendRecord(FRAME.refuse, encodeRecord(refusal)).catch(() => {});
    } else if (!(error instanceof PeerAbortedError)) {
      const abort = { message: recordText(error.message) };
      stream.sendRecord(FRAME.abort, encodeRecord(abort)).catch(() => {});
    }
    // whoever still waits for a frame is let go
    await stream.close();
    // after COMMIT the VM is this end's only copy: it is kept, stopped, for a person to look at
    if (this.#committed) return;
    await this.#steps.settled(this.#stepLimitMs);
    await this.#reservation?.release().catch((trouble) => {
      throw new MigrationError(`${error.message}; and giving the place back failed: ${messageOf(trouble)}`);
    });
  }

  #unexpected(frame: ReceivedFrame): Error {
    if (frame.type === FRAME.abort)
      return new PeerAbortedError(`source: ${decodeAbort(frame.payload).message}`);
    if (this.#steps.isCancelled) return new MigrationCancelledError('the migration was cancelled');
    return new ProtocolError(`the source sent "${frameName(frame.type)}" while this end was ${this.#phase}`);
  }

  #to(phase: DestinationPhase): void {
    this.#phase = phase;
    this.#o.onPhase?.(phase);
  }

  #step<T>(what: string, action: () => Promise<T>): Promise<T> {
    return this.#steps.run(what, this.#stepLimitMs, action);
  }

  #send(type: FrameType, record: object): Promise<void> {
    return this.#step(`sending ${frameName(type)}`, () =>
      this.#o.stream.sendRecord(type, encodeRecord(record)),
    );
  }
}
