/**
 * What the extra core costs, in virtual time: the production engine, rings and tracker under a scheduler, with costs that
 * were measured on this machine, on as many cores as asked for.
 *
 *   wire (frames at a rate) -> engine -> rings -> guest (takes, refills)          sender (always copying)
 *                                          ^ tracker looks, sleeps
 */

import { testFrame } from '../../plugin/conformance/mini-driver.js';
import { MigrationRig } from '../../plugin/conformance/rig.js';
import { TEST_MAC } from '../../plugin/conformance/test-host.js';
import type { PluginDefinition } from '../../plugin/definition.js';
import { Choices } from '../clockwork/choices.js';
import { EventLog } from '../clockwork/event-log.js';
import { Scheduler } from '../clockwork/scheduler.js';
import type { StepEnd } from '../clockwork/virtual-core.js';
import { costOf, type MeasuredCosts } from './costs.js';
import { LeanGuest } from './lean-guest.js';
import { PhysicalCores, type Thread } from './physical-cores.js';

export interface TrackerCase {
  readonly plugin: PluginDefinition;
  readonly pluginOptions: Readonly<Record<string, string>>;
  readonly frameBytes: number;
  readonly framesPerSecond: number;
  readonly ringSlots: number;
  readonly cores: number;
}

export interface TrackerFigure {
  /** Of one core, sleeps' cost included. */
  readonly trackerPercent: number;
  readonly enginePercent: number;
  readonly guestPercent: number;
  readonly framesPerSecond: number;
  readonly descriptorsPerLook: number;
  readonly notes: readonly string[];
}

const WARM_UP_MS = 3;
const MEASURED_MS = 20;
/** The guest, when its ring is empty: an interrupt per so much time at most. */
const INTERRUPT_NS = 20_000;
const ENGINE_IDLE_NS = 5_000;
const SENDER_STEP_NS = 50_000;
/** As the worker's loop: a shorter sleep is none. */
const SHORTEST_SLEEP_NS = 20_000;
/** A wire holds this much for a card that is late. */
const MAX_LATE_FRAMES = 512;

export async function trackerFigure(what: TrackerCase, costs: MeasuredCosts): Promise<TrackerFigure> {
  const { plugin, pluginOptions, ringSlots } = what;
  const rig = new MigrationRig(plugin, {
    options: pluginOptions,
    habits: { rxSlots: ringSlots, batch: Math.min(32, ringSlots / 4) },
  });
  try {
    rig.driver.up();
    await rig.start();
    return await new Stage(rig, what, costs).run();
  } finally {
    rig.close();
  }
}

class Stage {
  readonly #rig: MigrationRig;
  readonly #what: TrackerCase;
  readonly #costs: MeasuredCosts;
  readonly #scheduler = new Scheduler({
    choices: new Choices(1),
    log: new EventLog({ keep: 'none' }),
    limits: { maxEvents: Number.POSITIVE_INFINITY, maxVirtualMs: WARM_UP_MS + MEASURED_MS + 1 },
  });
  readonly #originNs: number;
  readonly #frame: Uint8Array;
  readonly #guest: LeanGuest;
  #offered = 0;
  #descriptors = 0;
  #looks = 0;

  constructor(rig: MigrationRig, what: TrackerCase, costs: MeasuredCosts) {
    this.#rig = rig;
    this.#what = what;
    this.#costs = costs;
    this.#originNs = rig.host.clock.nowNs();
    this.#frame = testFrame(TEST_MAC, 0, what.frameBytes);
    this.#guest = new LeanGuest(rig.driver);
  }

  async run(): Promise<TrackerFigure> {
    const scheduler = this.#scheduler;
    const host = scheduler.host('host');
    const cores = new PhysicalCores(scheduler, this.#what.cores);
    const engine = cores.thread({ name: 'engine', host, kind: 'engine', step: () => this.#engine() });
    const guest = cores.thread({ name: 'vcpu', host, kind: 'vcpu', step: () => this.#poll() });
    const tracker = cores.thread({ name: 'tracker', host, kind: 'tracker', step: () => this.#look() });
    const sender = cores.thread({
      name: 'sender',
      host,
      kind: 'other',
      step: () => ({ costNs: SENDER_STEP_NS, againNs: 0 }),
    });
    for (const { core } of [engine, guest, tracker, sender]) core.wake();
    await this.#until(WARM_UP_MS);
    const before = { busy: [tracker, engine, guest].map(busyOf), frames: this.#guest.frames };
    this.#looks = 0;
    this.#descriptors = 0;
    await this.#until(WARM_UP_MS + MEASURED_MS);
    const percent = [tracker, engine, guest].map(
      (thread, i) => (busyOf(thread) - before.busy[i]!) / (MEASURED_MS * 1e4),
    );
    return {
      trackerPercent: percent[0]!,
      enginePercent: percent[1]!,
      guestPercent: percent[2]!,
      framesPerSecond: ((this.#guest.frames - before.frames) * 1e3) / MEASURED_MS,
      descriptorsPerLook: this.#descriptors / Math.max(1, this.#looks),
      notes: this.#rig.notes,
    };
  }

  async #until(ms: number): Promise<void> {
    let reached = false;
    this.#scheduler.at(ms * 1e6 - this.#scheduler.nowNs(), 'measured', () => {
      reached = true;
    });
    await this.#scheduler.run(() => reached);
  }

  #engine(): StepEnd {
    this.#passTime();
    const { host } = this.#rig;
    const dueFrames = Math.floor((this.#scheduler.nowNs() / 1e9) * this.#what.framesPerSecond);
    // what a late card did not take in time is lost on the wire
    this.#offered = Math.max(this.#offered, dueFrames - MAX_LATE_FRAMES);
    while (this.#offered < dueFrames && host.peer.transmit(this.#frame, 0, this.#frame.length))
      this.#offered++;
    host.peer.flush();
    const frames = host.engine.step();
    const { engineStepNs, engineFrame } = this.#costs;
    const costNs = engineStepNs + frames * costOf(engineFrame, this.#what.frameBytes);
    return { costNs, againNs: frames > 0 ? 0 : ENGINE_IDLE_NS };
  }

  #poll(): StepEnd {
    this.#passTime();
    const frames = this.#guest.poll(64);
    return { costNs: 1 + frames * this.#costs.guestFrameNs, againNs: frames > 0 ? 0 : INTERRUPT_NS };
  }

  #look(): StepEnd {
    this.#passTime();
    const core = this.#rig.core!;
    const work = core.step();
    this.#looks++;
    this.#descriptors += work;
    const { trackerTurnNs, trackerDescriptorNs, sleepCpuNs, wakeLateNs } = this.#costs;
    const lookNs = trackerTurnNs + work * trackerDescriptorNs;
    const idleNs = core.idleNs;
    return idleNs >= SHORTEST_SLEEP_NS
      ? { costNs: lookNs + sleepCpuNs, againNs: idleNs + wakeLateNs - sleepCpuNs }
      : { costNs: lookNs, againNs: 0 };
  }

  #passTime(): void {
    const { clock } = this.#rig.host;
    clock.advance(this.#originNs + this.#scheduler.nowNs() - clock.nowNs());
  }
}

const busyOf = ({ busyNs }: Thread): number => busyNs;
