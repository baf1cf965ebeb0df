/**
 * The Ethernet that hosts and peers share: the production switch, and a virtual cable to each port.
 *
 *   NIC's engine  <- Wire = cable = port |               | port = cable = Wire ->  peer
 *   NIC's engine  <- Wire = cable = port |LearningSwitch | port = cable = Wire ->  peer
 *
 * Faults are per port and direction. A host that crashed loses its link, as does a port whose wire is closed.
 */
import { LearningSwitch, type SwitchStats } from '../../hardware/wire/learning-switch.js';
import type { FrameSink, Wire } from '../../hardware/wire/wire.js';
import { zeroWireStats } from '../../hardware/wire/wire-stats.js';
import type { Choices } from '../clockwork/choices.js';
import type { HostTime } from '../clockwork/host-time.js';
import type { Scheduler } from '../clockwork/scheduler.js';
import { type CableFaults, CableLane, type CableOptions, type LaneCounts } from './cable-lane.js';

/** 10 Gb/s, a few microseconds. */
export const RACK_CABLE: CableOptions = {
  bitsPerSecond: 10e9,
  delayNs: 1_000,
  jitterNs: 1_000,
  gatherNs: 5_000,
  queueBytes: 128 * 1024,
  ringBytes: 128 * 1024,
};

/** Which way frames go: to the port's holder, or from it into the switch. */
export type LaneDirection = 'in' | 'out';

/** One end of a virtual cable. */
class CableWire implements Wire {
  readonly stats = zeroWireStats();
  readonly #cable: Cable;
  readonly #incoming: CableLane;
  readonly #outgoing: CableLane;

  constructor(cable: Cable, incoming: CableLane, outgoing: CableLane) {
    this.#cable = cable;
    this.#incoming = incoming;
    this.#outgoing = outgoing;
  }

  get onWake(): (() => void) | null {
    return this.#incoming.onArrival;
  }

  set onWake(wake: (() => void) | null) {
    this.#incoming.onArrival = wake;
  }

  get linkUp(): boolean {
    return this.#cable.isPlugged;
  }

  receive(sink: FrameSink, budget: number): number {
    this.stats.rxDropped = this.#incoming.overruns;
    return this.#incoming.receive(sink, budget, this.stats);
  }

  transmit(bytes: Uint8Array, offset: number, length: number): boolean {
    if (!this.#cable.isPlugged || !this.#outgoing.transmit(bytes, offset, length)) {
      this.stats.txDropped++;
      return false;
    }
    this.stats.txFrames++;
    this.stats.txBytes += length;
    return true;
  }

  /** What was transmitted is on its way already. */
  flush(): void {}

  async close(): Promise<void> {
    this.#cable.unplug();
  }
}

class Cable {
  isPlugged = true;
  readonly lanes: Readonly<Record<LaneDirection, CableLane>>;
  /** The port's holder's end and the switch's. */
  readonly holder: CableWire;
  readonly port: CableWire;

  constructor(lanes: Readonly<Record<LaneDirection, CableLane>>) {
    this.lanes = lanes;
    this.holder = new CableWire(this, lanes.in, lanes.out);
    this.port = new CableWire(this, lanes.out, lanes.in);
  }

  unplug(): void {
    if (!this.isPlugged) return;
    this.isPlugged = false;
    this.lanes.in.unplug();
    this.lanes.out.unplug();
    this.holder.onWake?.();
    this.port.onWake?.();
  }
}

export class Ether {
  readonly #scheduler: Scheduler;
  readonly #choices: Choices;
  readonly #options: CableOptions;
  readonly #switch: LearningSwitch;
  readonly #cables = new Map<string, Cable>();

  constructor(scheduler: Scheduler, choices: Choices, options: Partial<CableOptions> = {}) {
    this.#scheduler = scheduler;
    this.#choices = choices;
    this.#options = { ...RACK_CABLE, ...options };
    this.#switch = new LearningSwitch({ clock: scheduler });
    this.#switch.onWake = () => {
      while (this.#switch.step() !== 0);
    };
  }

  /** Plugs a cable in; returns the holder's end of it. @param host loses its link when it crashes */
  port(name: string, host?: HostTime): Wire {
    const lane = (direction: LaneDirection): CableLane => {
      const what = `${name} ${direction}`;
      return new CableLane(this.#scheduler, this.#choices.fork(what), what, this.#options);
    };
    const cable = new Cable({ in: lane('in'), out: lane('out') });
    this.#cables.set(name, cable);
    this.#switch.addPort(name, cable.port);
    host?.onCrash(() => cable.unplug());
    return cable.holder;
  }

  /** From now on, for frames that go that way. */
  setFaults(port: string, direction: LaneDirection, faults: Partial<CableFaults>): void {
    const lane = this.#lane(port, direction);
    lane.faults = { ...lane.faults, ...faults };
    this.#log('faults', port);
  }

  /** Nothing gets through that way, though the link is up. */
  partition(port: string, direction: LaneDirection, isCut: boolean): void {
    this.#lane(port, direction).partitioned = isCut;
    this.#log(isCut ? 'partition' : 'whole again', port);
  }

  /** Cables whose holder has not let go of them. */
  get openEnds(): number {
    return [...this.#cables.values()].filter((cable) => cable.isPlugged).length;
  }

  /** What the faults did, over all cables. */
  counts(): LaneCounts {
    const sum: LaneCounts = { lost: 0, duplicated: 0, reordered: 0, partitioned: 0 };
    for (const { lanes } of this.#cables.values()) {
      for (const { counts } of [lanes.in, lanes.out]) {
        sum.lost += counts.lost;
        sum.duplicated += counts.duplicated;
        sum.reordered += counts.reordered;
        sum.partitioned += counts.partitioned;
      }
    }
    return sum;
  }

  switchStats(): SwitchStats {
    return this.#switch.stats();
  }

  #lane(port: string, direction: LaneDirection): CableLane {
    const cable = this.#cables.get(port);
    if (cable === undefined)
      throw new RangeError(`the ether has no port ${port}: it has ${[...this.#cables.keys()]}`);
    return cable.lanes[direction];
  }

  #log(what: string, port: string): void {
    this.#scheduler.log.add(this.#scheduler.nowNs(), 'ether', `${what} ${port}`);
  }
}
