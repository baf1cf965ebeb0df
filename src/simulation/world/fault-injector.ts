/**
 * Makes a fault plan come true: waits for each fault's moment, does it, undoes what was to last only for a while.
 *
 *   moment (time, event, phase) --> strike --> the world: network, link, host, plugin, core, engine
 */
import type { Phase } from '../../migration/phases.js';
import type { VirtualCore } from '../clockwork/virtual-core.js';
import type { CableFaults } from '../network/cable-lane.js';
import type { PlannedFault } from './fault-plan.js';
import type { Hop } from './hop.js';
import type { SimHost } from './sim-host.js';
import type { World } from './world.js';

const LANES = ['in', 'out'] as const;
const ETHER_FAULT = {
  'ether-loss': 'loss',
  'ether-duplicate': 'duplicate',
  'ether-reorder': 'reorder',
} as const;

type Net = Extract<PlannedFault, { kind: 'net' }>;
type Sched = Extract<PlannedFault, { kind: 'sched' }>;

export class FaultInjector {
  readonly #world: World;
  readonly #byPhase: PlannedFault[] = [];
  readonly #byTime: PlannedFault[] = [];
  #byEvent: PlannedFault[] = [];
  #hasBegun = false;

  constructor(world: World, plan: readonly PlannedFault[]) {
    this.#world = world;
    for (const fault of plan) {
      if ('atPhase' in fault) this.#byPhase.push(fault);
      else if ('atNs' in fault) this.#byTime.push(fault);
      else this.#byEvent.push(fault);
    }
    world.onPhase = (hop, phase) => this.#atPhase(hop, phase);
    if (this.#byEvent.length > 0) world.scheduler.afterEach(() => this.#lookAtCount());
  }

  end(): void {
    this.#world.onPhase = null;
    this.#byEvent = [];
  }

  #atPhase(hop: Hop, phase: Phase): void {
    if (!this.#hasBegun) {
      this.#hasBegun = true;
      for (const fault of this.#byTime) if ('atNs' in fault) this.#later(fault.atNs, fault);
    }
    const round = phase.phase === 'pre-copy' ? phase.round : 0;
    for (const fault of this.#byPhase) {
      if (!('atPhase' in fault) || fault.atPhase !== phase.phase || fault.hop !== hop.number) continue;
      if (fault.round !== round) continue;
      // nothing is waited for in this phase: its faults strike as it begins
      if (fault.atPhase === 'pre-migration') this.#strike(fault);
      else this.#later(fault.afterNs, fault);
    }
  }

  #lookAtCount(): void {
    const { happened } = this.#world.scheduler;
    const due = this.#byEvent.filter((fault) => 'atEvent' in fault && fault.atEvent <= happened);
    if (due.length === 0) return;
    this.#byEvent = this.#byEvent.filter((fault) => !due.includes(fault));
    for (const fault of due) this.#later(0, fault);
  }

  #later(delayNs: number, fault: PlannedFault): void {
    this.#world.scheduler.at(delayNs, 'fault', () => this.#strike(fault));
  }

  #strike(fault: PlannedFault): void {
    const { hop } = this.#world;
    if (hop === null) return;
    switch (fault.kind) {
      case 'net':
        this.#strikeNetwork(hop, fault);
        return;
      case 'crash':
        this.#crash(fault.what === 'crash-source' ? hop.source : hop.destination, fault.what);
        return;
      case 'plugin':
        // it takes effect when the call is made
        this.#world.pluginFaults.arm(fault.call, fault.nth);
        return;
      case 'vmm':
        this.#world.pluginFaults.arm(fault.call, 1);
        return;
      case 'cancel':
        if (hop.cancel(fault.by)) this.#world.fault('cancel', fault.by);
        return;
      case 'sched':
        this.#strikeCores(hop, fault);
        return;
      case 'disk':
        this.#world.disk.capacityBytes = fault.afterBytes;
        return;
    }
  }

  #strikeNetwork(hop: Hop, fault: Net): void {
    const world = this.#world;
    const { scheduler } = world;
    switch (fault.what) {
      case 'ether-loss':
      case 'ether-duplicate':
      case 'ether-reorder': {
        const field = ETHER_FAULT[fault.what];
        this.#onBothLanes(hop.source.name, { [field]: fault.chance });
        scheduler.at(fault.forNs, 'fault over', () => this.#onBothLanes(hop.source.name, { [field]: 0 }));
        break;
      }
      case 'ether-partition':
        this.#partition(hop.source.name, true);
        scheduler.at(fault.forNs, 'fault over', () => this.#partition(hop.source.name, false));
        break;
      case 'link-stall':
        hop.link.stall(fault.forNs);
        break;
      case 'link-cut':
        hop.link.cut();
        break;
      case 'link-corrupt':
        if (!hop.link.corrupt('destination')) return;
        break;
      case 'link-slow':
        hop.link.setBandwidth(fault.bytesPerSecond);
        scheduler.at(fault.forNs, 'fault over', () => hop.link.setBandwidth(world.plan.link.bytesPerSecond));
    }
    world.fault(fault.what);
  }

  #onBothLanes(port: string, faults: Partial<CableFaults>): void {
    for (const direction of LANES) this.#world.ether.setFaults(port, direction, faults);
  }

  #partition(port: string, isCut: boolean): void {
    for (const direction of LANES) this.#world.ether.partition(port, direction, isCut);
  }

  #crash(host: SimHost, what: string): void {
    if (host.isCrashed) return;
    this.#world.fault(what);
    host.time.crash();
  }

  #strikeCores(hop: Hop, fault: Sched): void {
    const world = this.#world;
    if (fault.what === 'core-stall') {
      const core = coreOf(hop, fault.core);
      if (core === null || core.isDead) return;
      core.stall(fault.forNs);
      world.fault(fault.what, fault.core);
      return;
    }
    const core = coreOf(hop, fault.what === 'tracker-lag' ? 'tracker' : 'vcpu');
    if (core === null || core.isDead) return;
    const { speed } = core;
    core.speed = speed / fault.factor;
    world.scheduler.at(fault.forNs, 'fault over', () => {
      core.speed = speed;
    });
    world.fault(fault.what);
  }
}

function coreOf(hop: Hop, which: 'engine' | 'vcpu' | 'tracker'): VirtualCore | null {
  const { source } = hop;
  if (which === 'engine') return source.engine?.core ?? null;
  if (which === 'vcpu') return source.vcpu?.core ?? null;
  return source.pluginCores.at(-1)?.core ?? null;
}
