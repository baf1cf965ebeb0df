/**
 * The world of one run: two hosts, the network between them, a guest, its traffic, and everybody who watches. What happens
 * in it is in script.ts; what must hold in promises/.
 */
import type { VirtualMachine } from '../../hypervisor/vm.js';
import type { DestinationPhase } from '../../migration/destination.js';
import type { TrackerReport } from '../../migration/device-migrator.js';
import type { Phase } from '../../migration/phases.js';
import type { LoadedPlugin } from '../../plugin/loader.js';
import type { Choices } from '../clockwork/choices.js';
import type { EventLog } from '../clockwork/event-log.js';
import type { Scheduler } from '../clockwork/scheduler.js';
import type { Ether } from '../network/ether.js';
import { SimDisk } from '../network/sim-disk.js';
import { CoverageCounter } from './coverage-counter.js';
import type { GuestKind, Traffic } from './guest-kind.js';
import { Hop } from './hop.js';
import { Interleavings } from './interleavings.js';
import type { MemoryPool } from './memory-pool.js';
import type { RunPlan } from './plan.js';
import { isVmmCall, PluginFaults } from './plugin-faults.js';
import type { WorldPromise } from './promises/promise.js';
import type { Problem } from './result.js';
import { SimHost } from './sim-host.js';

export interface WorldOptions {
  readonly plan: RunPlan;
  readonly choices: Choices;
  readonly scheduler: Scheduler;
  readonly log: EventLog;
  readonly ether: Ether;
  readonly guest: GuestKind;
  readonly traffic: Traffic;
  readonly plugin: LoadedPlugin;
  readonly memories: MemoryPool;
  readonly promises: readonly WorldPromise[];
}

const MAX_PROBLEMS = 20;
/** Events of a migration after which it is hurried to its end. */
const PATIENCE_EVENTS = 30_000;
/** Coverage keys and the counters of SRVM's core that tell them; other trackers have others. */
const TRACKER_COUNTERS = [
  ['lapped', 'laps'],
  ['ring-programmed', 'ringProgrammings'],
  ['device-reset', 'deviceResets'],
  ['descriptors-followed', 'descriptors'],
] as const;

export class World {
  readonly coverage = new CoverageCounter();
  readonly problems: Problem[] = [];
  readonly notes: string[] = [];
  readonly hops: Hop[] = [];
  readonly hosts: readonly [SimHost, SimHost];
  readonly pluginFaults: PluginFaults;
  readonly disk: SimDisk;
  readonly #interleavings = new Interleavings(this.coverage);
  /** Told of phases of the source, for faults that strike there. */
  onPhase: ((hop: Hop, phase: Phase) => void) | null = null;
  readonly #o: WorldOptions;
  readonly #memories: WebAssembly.Memory[] = [];
  #hopBeganAt = 0;
  #deedsBefore: Readonly<Record<string, number>> = {};

  constructor(options: WorldOptions) {
    this.#o = options;
    this.disk = new SimDisk(options.scheduler, options.choices.fork('disk'));
    this.pluginFaults = new PluginFaults((call) => {
      this.fault(isVmmCall(call) ? 'vmm-throws' : 'plugin-throws', call);
    });
    this.hosts = [this.#makeHost('a'), this.#makeHost('b')];
    options.scheduler.afterEach(() => {
      for (const promise of options.promises) promise.afterEvent?.(this);
    });
  }

  get plan(): RunPlan {
    return this.#o.plan;
  }

  get scheduler(): Scheduler {
    return this.#o.scheduler;
  }

  get ether(): Ether {
    return this.#o.ether;
  }

  get guest(): GuestKind {
    return this.#o.guest;
  }

  get traffic(): Traffic {
    return this.#o.traffic;
  }

  get plugin(): LoadedPlugin {
    return this.#o.plugin;
  }

  get promises(): readonly WorldPromise[] {
    return this.#o.promises;
  }

  /** The migration under way, or the last one. */
  get hop(): Hop | null {
    return this.hops.at(-1) ?? null;
  }

  /** A promise is broken. The first one ends the run soon. */
  broken(promise: string, sentence: string, pages: readonly number[] = []): void {
    if (this.problems.length >= MAX_PROBLEMS) return;
    this.problems.push({ promise, sentence, ...(pages.length === 0 ? {} : { pages }) });
    this.log('world', `broken ${promise}`, pages[0] ?? 0);
  }

  note(text: string): void {
    if (this.notes.length < 100) this.notes.push(text);
  }

  /** A fault took effect. */
  fault(what: string, detail = ''): void {
    this.coverage.reach(`fault:${what}`);
    this.log('world', `fault ${what}${detail === '' ? '' : ` ${detail}`}`);
  }

  log(actor: string, what: string, ...numbers: [number?, number?, number?, number?]): void {
    this.#o.log.add(this.scheduler.nowNs(), actor, what, ...numbers);
  }

  beginHop(source: SimHost, destination: SimHost): Hop {
    const number = this.hops.length;
    const hop = new Hop({
      number,
      scheduler: this.scheduler,
      choices: this.#o.choices.fork(`hop ${number}`),
      plan: this.plan,
      source,
      destination,
      faults: this.pluginFaults,
      disk: number === this.plan.diskHop ? this.disk : null,
      listener: {
        onPhase: (of, phase) => this.#onPhase(of, phase),
        onDestinationPhase: (of, phase) => this.#onDestinationPhase(of, phase),
        onHarvest: (of, _marks, report) => this.log(of.source.time.actor, 'harvest', report.pages),
        onBothHarvested: (of, dma, cpu) => {
          for (const promise of this.promises) promise.atHarvest?.(this, of, dma, cpu);
        },
        onTracked: (report) => this.#onTracked(report),
        onNote: (text) => this.note(text),
      },
    });
    this.hops.push(hop);
    return hop;
  }

  /** Nothing of this run may touch a memory any more. */
  giveBackMemories(): void {
    for (const memory of this.#memories) this.#o.memories.give(memory);
  }

  #makeHost(name: string): SimHost {
    const { scheduler, choices, plan, ether, guest, plugin, memories } = this.#o;
    const hostChoices = choices.fork(`host ${name}`);
    const host: SimHost = new SimHost({
      name,
      scheduler,
      choices: hostChoices,
      plan,
      makeWire: (time) => ether.port(name, time),
      image: guest.image,
      commandLine: guest.commandLine,
      plugin,
      faults: this.pluginFaults,
      takeMemory: (ramBytes) => {
        const memory = memories.take(ramBytes);
        this.#memories.push(memory);
        return memory;
      },
      startVcpu: (of, boot, events) =>
        guest.startVcpu(
          {
            scheduler,
            choices: hostChoices.fork(`vcpu ${this.hops.length}`),
            host: of,
            speeds: plan.speeds,
          },
          boot,
          events,
        ),
      onArrived: (at, vm) => this.#onArrived(at, vm),
      onNote: (text) => this.note(text),
    });
    return host;
  }

  #onPhase(hop: Hop, phase: Phase): void {
    this.coverage.reach(`phase:${phase.phase}`);
    this.#countDeeds(hop, phase);
    this.#watchCopying(hop, phase);
    if (phase.phase === 'reservation') this.#hopBeganAt = this.scheduler.happened;
    if (phase.phase === 'pre-copy' && this.scheduler.happened - this.#hopBeganAt > PATIENCE_EVENTS)
      hop.hurry();
    this.log(hop.source.time.actor, `phase ${phase.phase}`, phase.phase === 'pre-copy' ? phase.round : 0);
    for (const promise of this.promises) promise.atPhase?.(this, hop, phase);
    this.onPhase?.(hop, phase);
  }

  /** Where DMA lands between harvests and copies. */
  #watchCopying(hop: Hop, phase: Phase): void {
    if (phase.phase !== 'pre-copy') return;
    this.#interleavings.round(phase.round === 1 ? null : hop.due);
    const { engine } = hop.source;
    if (engine === null) return;
    engine.onLanded = (page, nowNs) => this.#interleavings.landed(page, nowNs, hop.copyStage, hop.due);
  }

  /** What the guest does between the beginning of pre-copy and the stop. */
  #countDeeds(hop: Hop, phase: Phase): void {
    if (phase.phase === 'pre-copy' && phase.round === 1) {
      this.#deedsBefore = this.guest.deeds(hop.sourceVm.memory);
    } else if (phase.phase === 'stop-and-copy') {
      for (const [deed, times] of Object.entries(this.guest.deeds(hop.sourceVm.memory))) {
        this.coverage.reach(`guest:${deed}`, times - (this.#deedsBefore[deed] ?? 0));
      }
    }
  }

  #onDestinationPhase(hop: Hop, phase: DestinationPhase): void {
    this.log(hop.destination.time.actor, `phase ${phase}`);
    for (const promise of this.promises) promise.atDestinationPhase?.(this, hop, phase);
  }

  #onArrived(at: SimHost, vm: VirtualMachine): void {
    const { hop } = this;
    if (hop === null || hop.destination !== at) return;
    for (const promise of this.promises) promise.atArrival?.(this, hop, vm);
  }

  #onTracked({ counters }: TrackerReport): void {
    for (const [key, counter] of TRACKER_COUNTERS)
      this.coverage.reach(`tracker:${key}`, counters[counter] ?? 0);
  }
}
