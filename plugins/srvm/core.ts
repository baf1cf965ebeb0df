/**
 * The extra core of SRVM: one turn looks at the Rx rings (by scanning them, or by serving their doorbell) and at the Tx
 * queues.
 *
 *   scan --- may have been lapped ---> mark all of guest RAM, take over the doorbell ---> shadow, to the end
 *   shadow ----------------------------------------------------------------------------> shadow
 */
import type { Core, CoreView, CreateCore } from 'srvm/plugin';
import { Pacing } from './pacing.js';
import { ScanCore } from './scan-core.js';
import { ShadowRelay } from './shadow-relay.js';
import { FROZEN, TRACKING, TRACKING_WORD } from './shared-words.js';
import { TxWatch } from './tx-watch.js';

export type TrackingMode = 'scan' | 'shadow-doorbell';

/** Scanning goes wrong when it comes too late; the doorbell only makes the device wait. */
const LOOKS_PER_SLACK = { scan: 3, shadow: 2 } as const;

class SrvmCore implements Core {
  readonly #view: CoreView;
  readonly #tx: TxWatch;
  #pacing = new Pacing(LOOKS_PER_SLACK.scan);
  #scan: ScanCore | null = null;
  #relay: ShadowRelay | null = null;
  #frozenSeen = false;
  #looks = 0;
  #laps = 0;
  #scannedDescriptors = 0;
  #lastLookNs = 0;

  constructor(view: CoreView, mode: TrackingMode) {
    this.#view = view;
    this.#tx = new TxWatch(view);
    if (mode === 'scan') this.#startScan();
    else this.#takeOver();
  }

  step(): number {
    this.#looks++;
    const frozen = Atomics.load(this.#view.shared, FROZEN) !== 0;
    const work = this.#relay === null ? this.#lookAround() : this.#relay.turn(frozen);
    const sent = frozen && !this.#frozenSeen ? this.#freeze() : this.#tx.look();
    const source = this.#relay ?? this.#scan!;
    this.#pacing.looked(this.#view.clock.nowNs(), source.consumed, source.slackSlots);
    return work + sent;
  }

  get turnOpen(): boolean {
    return this.#relay?.open ?? false;
  }

  idleNs(): number {
    return this.#pacing.sleepNs;
  }

  finish(): void {
    this.#relay?.release(Atomics.load(this.#view.shared, FROZEN) !== 0);
  }

  counters(): Readonly<Record<string, number>> {
    return {
      looks: this.#looks,
      laps: this.#laps,
      descriptors: this.#scannedDescriptors + (this.#relay ?? this.#scan!).descriptors,
      ringProgrammings: this.#relay?.programmings ?? 0,
      deviceResets: this.#relay?.resets ?? 0,
    };
  }

  #startScan(): void {
    const scan = new ScanCore(this.#view);
    this.#scan = scan;
    this.#lastLookNs = this.#view.clock.nowNs();
    Atomics.store(this.#view.shared, TRACKING_WORD, TRACKING.scan);
    if (scan.attach() === 'followed') return;
    this.#laps++;
    this.#fallBack('scan was lapped while it first read the rings, which moved too fast');
  }

  #lookAround(): number {
    const scan = this.#scan!;
    const nowNs = this.#view.clock.nowNs();
    const awayUs = (nowNs - this.#lastLookNs) / 1000;
    this.#lastLookNs = nowNs;
    if (scan.look() === 'lapped') {
      this.#laps++;
      this.#fallBack(`scan may have been lapped in the ${awayUs.toFixed(0)} us between two looks`);
    }
    return scan.consumed;
  }

  /** Take over first, mark afterwards: whatever was missed was written before. */
  #fallBack(why: string): void {
    this.#scannedDescriptors = this.#scan!.descriptors;
    this.#takeOver();
    this.#view.dirty.markAll();
    this.#view.note(`${why}: all of guest RAM was marked, tracking goes on by shadow-doorbell`);
  }

  #takeOver(): void {
    this.#relay = new ShadowRelay(this.#view);
    this.#relay.takeOver();
    this.#pacing = new Pacing(LOOKS_PER_SLACK.shadow);
  }

  #freeze(): number {
    this.#frozenSeen = true;
    return this.#tx.finalLook();
  }
}

export const createCore: CreateCore = (view, data) =>
  new SrvmCore(view, data === 'scan' ? 'scan' : 'shadow-doorbell');
