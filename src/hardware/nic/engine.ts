/**
 * The card's DMA engine as a step function over the shared memory of one NIC, the domains of its functions and a wire.
 *
 *   step():  settle ENABLE requests            a packet boundary: no packet is ever half done between two steps
 *            Rx: wire -> switch -> queues      until the budget is spent or a frame has to stay on the wire
 *            Tx: queues in turn -> switch / wire
 *            counters, interrupts              once per queue, after all its write-backs and its head; at the end of
 *                                              the step, or (an engine that cannot keep up) after a few steps
 *
 * Everything it knows across steps is in the shared memory or read again from registers when a queue is enabled. A
 * worker, a test or a simulator calls step(); it never blocks and its work is bounded by the budgets.
 */

import { BytesCache } from '../bytes.js';
import type { Clock, Random } from '../clock.js';
import { IommuDomain } from '../iommu/domain.js';
import type { DomainHandle } from '../iommu/handle.js';
import type { MsiSink } from '../pci/msi.js';
import type { FrameSink, Wire } from '../wire/wire.js';
import { Delivery } from './delivery.js';
import { Egress } from './egress.js';
import { fireModerated, raiseRx, raiseTx } from './interrupts.js';
import { L2Switch } from './l2-switch.js';
import { setLink } from './link.js';
import { areRequestsWaiting, isQueueActive, type QueueChange, settleQueues } from './queue-state.js';
import { RateLimits } from './rate-limit.js';
import { Rss } from './rss.js';
import { RxPath } from './rx.js';
import { CONTROL, type NicShared, POOL_COUNT, QUEUES_PER_POOL, REGION } from './shared.js';
import { NicStats } from './stats.js';
import { Segmenter } from './tso.js';
import { TxPath } from './tx.js';

/** Frames a step takes from the wire, and sends: some tens of microseconds of work each. */
const RX_BUDGET = 64;
const TX_BUDGET = 64;
/**
 * While more waits than a step can take, interrupts wait too: the host pays for each with a thread that wakes, and with
 * many guests each would be woken for every packet (ten microseconds of a core and more, where a packet takes one). No
 * queue's waits for longer than a step of its own would have made it wait, nor anybody's longer than this; where many queues
 * share the engine, than a step's time for each of them.
 */
const MOST_HELD_PACKETS = 64;
const MOST_HELD_NS = 3_000_000;
const MOST_HELD_NS_PER_QUEUE = 150_000;

export interface NicEngineOptions {
  readonly shared: NicShared;
  readonly wire: Wire;
  readonly msi: MsiSink;
  readonly clock: Clock;
  /** How the engine sees a function's memory; an IommuDomain, whose writes land at once, by default. */
  readonly openDomain?: (handle: DomainHandle) => IommuDomain;
  /** Accepted for symmetry with other step functions; the engine itself leaves nothing to chance. */
  readonly random?: Random;
}

export class NicEngine {
  readonly #shared: NicShared;
  readonly #words: Int32Array;
  readonly #wire: Wire;
  readonly #msi: MsiSink;
  readonly #clock: Clock;
  readonly #openDomain: (handle: DomainHandle) => IommuDomain;
  readonly #domains: (IommuDomain | null)[] = new Array<IommuDomain | null>(POOL_COUNT).fill(null);
  readonly #stats: NicStats;
  readonly #switch: L2Switch;
  readonly #rss: Rss;
  readonly #limits: RateLimits;
  readonly #rx: RxPath;
  readonly #tx: TxPath;
  readonly #delivery: Delivery;
  readonly #egress: Egress;
  readonly #wireBytes = new BytesCache();
  #moderatedDueNs = Infinity;
  /** Since when interrupts have been held back; 0: none are. */
  #heldSinceNs = 0;

  constructor(options: NicEngineOptions) {
    const shared = options.shared;
    this.#shared = shared;
    this.#words = shared.words;
    this.#wire = options.wire;
    this.#msi = options.msi;
    this.#clock = options.clock;
    this.#openDomain = options.openDomain ?? ((handle) => new IommuDomain(handle));
    this.#stats = new NicStats(shared);
    this.#switch = new L2Switch(shared);
    this.#rss = new Rss(shared);
    this.#limits = new RateLimits(shared);
    this.#rx = new RxPath(shared, this.#domains, this.#stats);
    this.#delivery = new Delivery(shared, this.#rx, this.#switch, this.#rss, this.#stats);
    this.#egress = new Egress(this.#wire, this.#switch, this.#delivery, this.#limits, this.#stats);
    this.#tx = new TxPath(shared, this.#domains, this.#egress, new Segmenter(this.#egress), this.#limits);
    Atomics.store(this.#words, REGION.control + CONTROL.engineRunning, 1);
  }

  /** Gives a pool's function its view of memory. Queues that are enabled already begin to work. */
  attach(pool: number, domain: DomainHandle): void {
    this.#domains[pool] = this.#openDomain(domain);
    this.#reconfigure(pool);
  }

  /** From here on the pool's queues touch no memory; their registers stay. */
  detach(pool: number): void {
    this.#domains[pool] = null;
    this.#reconfigure(pool);
  }

  /** Does a bounded amount of work; returns how much (0: nothing to do until the doorbell, the wire or nextDueNs()). */
  step(): number {
    const words = this.#words;
    // a queue that stops has told its driver of everything
    if (areRequestsWaiting(words)) this.#raise();
    let work = settleQueues(this.#shared, this.#onQueueChange) ? 1 : 0;
    this.#switch.refresh();
    this.#rss.refresh();
    const nowNs = this.#clock.nowNs();
    this.#limits.beginStep(nowNs);
    this.#egress.beginStep(nowNs);
    setLink(this.#shared, this.#msi, this.#clock, this.#wire.linkUp);
    const received = this.#wire.receive(this.#sink, RX_BUDGET);
    const sent = this.#tx.step(TX_BUDGET);
    work += received + sent;
    this.#wire.flush();
    this.#stats.flush();
    const isBehind = received >= RX_BUDGET || sent >= TX_BUDGET;
    if (!isBehind || !this.#mayHold(nowNs)) this.#raise();
    this.#moderatedDueNs = fireModerated(this.#shared, this.#msi, this.#clock);
    if (work !== 0) words[REGION.control + CONTROL.steps] = (words[REGION.control + CONTROL.steps]! + 1) | 0;
    return work;
  }

  /** When step() must be called even if nothing rings: a moderated interrupt, a speed limit or a pause. Infinity: not at all. */
  nextDueNs(): number {
    return Math.min(this.#moderatedDueNs, this.#limits.dueNs, this.#egress.pauseEndNs);
  }

  /** When the speed limit that refused a frame in the last step lets it go; Infinity: none refused one. */
  limitEndNs(): number {
    return this.#limits.dueNs;
  }

  /** Lets go of the card: from now on register writes apply ENABLE themselves. */
  close(): void {
    Atomics.store(this.#words, REGION.control + CONTROL.engineRunning, 0);
  }

  readonly #sink: FrameSink = (bytes, offset, length) => {
    if (!this.#limits.mayReceive()) return false;
    if (!this.#delivery.fromWire(this.#wireBytes.wrap(bytes), offset, length)) return false;
    this.#limits.countReceived(length);
    return true;
  };

  readonly #onQueueChange: QueueChange = (direction, queue, _stopped, enabled) => {
    const path = direction === 'rx' ? this.#rx : this.#tx;
    if (enabled) path.configure(queue);
    else path.stop(queue);
  };

  #reconfigure(pool: number): void {
    for (let queue = pool * QUEUES_PER_POOL; queue < (pool + 1) * QUEUES_PER_POOL; queue++) {
      if (isQueueActive(this.#shared, 'rx', queue)) this.#rx.configure(queue);
      if (isQueueActive(this.#shared, 'tx', queue)) this.#tx.configure(queue);
    }
  }

  #mayHold(nowNs: number): boolean {
    if (this.#heldSinceNs === 0) this.#heldSinceNs = nowNs;
    const rx = this.#rx.queues;
    const tx = this.#tx.queues;
    if (Math.max(rx.mostWaiting, tx.mostWaiting) >= MOST_HELD_PACKETS) return false;
    const mostNs = MOST_HELD_NS_PER_QUEUE * (rx.pendingCount + tx.pendingCount);
    return nowNs - this.#heldSinceNs < Math.max(MOST_HELD_NS, mostNs);
  }

  #raise(): void {
    this.#heldSinceNs = 0;
    const rx = this.#rx.queues;
    for (let i = 0; i < rx.pendingCount; i++) {
      const queue = rx.pending[i]!;
      raiseRx(this.#shared, this.#msi, this.#clock, queue >> 1, queue & 1);
    }
    rx.clearPending();
    const tx = this.#tx.queues;
    for (let i = 0; i < tx.pendingCount; i++) {
      const queue = tx.pending[i]!;
      raiseTx(this.#shared, this.#msi, this.#clock, queue >> 1, queue & 1);
    }
    tx.clearPending();
  }
}
