/**
 * Runs one plugin for one migration of one VF: the migration engine's DeviceMigrator on one side, the plugin's methods on
 * the other, a time limit on every call between them.
 *
 *   idle -prepare-> prepared -start-> tracking -quiesce-> quiesced -rollback-> rolledBack -stop-> stopped
 *      |                                 ^
 *      '--------------start--------------'                   (any state but stopped can be rolled back,
 *      '-restoreState-> restored                              every state can be stopped)
 */

import { realTimers, type TimerClock } from '../hardware/clock.js';
import { SharedDirtyMap } from '../machine/dirty-map.js';
import type {
  DeviceMigrator,
  HarvestReport,
  PluginIdentity,
  TrackerReport,
} from '../migration/device-migrator.js';
import type { CoreRequest } from './core-api.js';
import type { CoreReport } from './core-messages.js';
import {
  type CoreLimits,
  type CoreStarter,
  type LoadingCore,
  loadCoreThread,
  type RunningCore,
} from './core-thread.js';
import type { ArrivalCounters, PluginDefinition, Tracker, TrackerContext } from './definition.js';
import type { DeviceAccess } from './device-access.js';
import { dirtyMapBytes, SharedDirtyMarks } from './dirty-marks.js';
import { PluginOrderError, PluginRequirementError, PluginTimeout } from './errors.js';
import { checkExitModule, InstalledExits } from './exits.js';
import { decodeState, encodeState } from './state-codec.js';
import { callPlugin } from './time-limit.js';

type Phase = 'idle' | 'prepared' | 'tracking' | 'quiesced' | 'rolledBack' | 'restored' | 'stopped';

/** From where each step may be taken. */
const LEGAL: Readonly<Record<string, readonly Phase[]>> = {
  prepare: ['idle'],
  start: ['idle', 'prepared'],
  harvest: ['tracking', 'quiesced'],
  beforePause: ['tracking'],
  quiesce: ['tracking'],
  saveState: ['quiesced'],
  restoreState: ['idle'],
  announce: ['restored'],
};

export interface HostLimits extends CoreLimits {
  /** For each call of a method of the plugin. */
  readonly callMs: number;
}

const DEFAULT_LIMITS: HostLimits = { callMs: 5_000, startMs: 5_000, turnMs: 2_000, stopMs: 1_000 };

export interface HostOptions {
  readonly definition: PluginDefinition;
  /** Complete and checked, see resolveOptions(). */
  readonly options: Readonly<Record<string, string>>;
  readonly access: DeviceAccess;
  readonly limits?: Partial<HostLimits>;
  /** How cores run; a worker thread unless a simulator or a test drives them itself. */
  readonly startCore?: CoreStarter;
  /** For time limits and for what a plugin waits for; the process's own unless a simulator has others. */
  readonly timers?: TimerClock;
  readonly onNote?: (text: string) => void;
}

export class PluginMigrator implements DeviceMigrator {
  readonly identity: PluginIdentity;
  readonly #definition: PluginDefinition;
  readonly #options: HostOptions;
  readonly #limits: HostLimits;
  readonly #timers: TimerClock;
  readonly #dirty: SharedArrayBuffer;
  readonly #map: SharedDirtyMap;
  readonly #context: TrackerContext;
  #phase: Phase = 'idle';
  #tracker: Tracker | null = null;
  #preparing: Promise<void> | null = null;
  #loading: LoadingCore | null = null;
  #core: RunningCore | null = null;
  #coreReport: CoreReport | null = null;
  #exits: InstalledExits | null = null;
  #stopping: Promise<TrackerReport> | null = null;
  #arrivalCounters: ArrivalCounters = {};
  #pagesMarked = 0;
  #notes: string[] = [];
  #freshNotes: string[] = [];

  constructor(options: HostOptions) {
    const { definition, access } = options;
    this.#definition = definition;
    this.#options = options;
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
    const timers = options.timers ?? realTimers;
    this.#timers = timers;
    this.identity = { name: definition.name, version: definition.version, options: options.options };
    const ramBytes = access.parts.ram.bytes;
    this.#dirty = new SharedArrayBuffer(dirtyMapBytes(ramBytes));
    const pages = ramBytes / 4096;
    this.#map = new SharedDirtyMap(this.#dirty, 0, pages);
    const { parts } = access;
    this.#context = {
      vf: parts.vf,
      ram: parts.ram,
      bar0: parts.bar0,
      bar3: parts.bar3,
      pf: parts.pf,
      pages: parts.pages,
      clock: parts.clock,
      config: parts.config,
      scratch: parts.scratch,
      policy: parts.policy,
      statistics: parts.statistics,
      iommuDirty: parts.iommuDirty,
      assist: parts.assist,
      hotplug: parts.hotplug,
      guest: parts.guest,
      raiseInterrupt: (vector) => parts.raiseInterrupt(vector),
      announce: () => parts.announce(),
      options: options.options,
      dirty: new SharedDirtyMarks(this.#dirty, pages),
      note: (text) => this.#note(text),
      waitUntil: (what, condition, limitMs = 1_000) => waitUntil(timers, what, condition, limitMs),
    };
  }

  /** @throws PluginRequirementError before anybody is asked for anything. */
  prepare(): void {
    this.#expect('prepare');
    this.#requireFeatures();
    this.#phase = 'prepared';
    this.#preparing = this.#prepare();
    this.#preparing.catch(() => {}); // start() says it
  }

  async start(): Promise<void> {
    this.#expect('start');
    this.#requireFeatures();
    this.#phase = 'tracking';
    this.#preparing ??= this.#prepare();
    await this.#preparing;
    const tracker = this.#tracker!;
    if (this.#loading !== null) this.#core = await this.#loading.begin();
    this.#installExits(tracker);
    await this.#call('start', () => tracker.start?.(this.#core, this.#exits));
    await this.#core?.turn();
  }

  /** The guest's writes go through the plugin from here on; unless it was called off meanwhile. */
  #installExits({ exits: request }: Tracker): void {
    if (request === undefined || this.#phase !== 'tracking') return;
    this.#exits = new InstalledExits({
      plugin: this.identity.name,
      request,
      access: this.#options.access,
      dirty: this.#dirty,
      dirtyPages: this.#map.pages,
      inThread: this.#options.startCore === undefined,
    });
    this.#exits.install();
  }

  #requireFeatures(): void {
    const { name, requires = [] } = this.#definition;
    if (requires.includes('iommu-dirty-bits') && this.#context.iommuDirty === null) {
      throw new PluginRequirementError(
        `plugin ${name} reads the IOMMU's dirty bits, and this host's IOMMU keeps none: start the VM's process with --iommu dirty-bits=on`,
      );
    }
    if (requires.includes('migration-assist') && this.#context.assist === null) {
      throw new PluginRequirementError(
        `plugin ${name} has the device log and give away its own state, which this one cannot: give the VM a virtual interface (--vif)`,
      );
    }
    if (requires.includes('pci-hotplug') && !this.#context.hotplug.supported) {
      throw new PluginRequirementError(
        `plugin ${name} takes the VF away by PCI hot-plug, and this kind of guest has none: use a method that needs none`,
      );
    }
  }

  async #prepare(): Promise<void> {
    const tracker = await this.#call('createTracker', () => this.#definition.createTracker(this.#context));
    this.#tracker = tracker;
    if (tracker.exits) checkExitModule(this.identity.name, tracker.exits, this.#context.pages.count);
    // it may have been called off meanwhile: then there is nobody to end a thread
    const isWanted = this.#phase === 'prepared' || this.#phase === 'tracking';
    if (tracker.core && isWanted) this.#loading = this.#load(tracker.core);
  }

  #load(request: CoreRequest): LoadingCore {
    const start = {
      plugin: this.identity.name,
      request,
      access: this.#options.access,
      dirty: this.#dirty,
      dirtyPages: this.#map.pages,
      limits: this.#limits,
      onNote: (text: string) => this.#note(text),
    };
    const { startCore } = this.#options;
    if (startCore === undefined) return loadCoreThread(start);
    return { begin: () => startCore(start), stop: async () => null };
  }

  async harvest(into: Uint8Array): Promise<HarvestReport> {
    this.#expect('harvest');
    const tracker = this.#tracker!;
    // whatever the device completed before this call is marked by a turn that starts after it
    await this.#core?.turn();
    await this.#call('beforeHarvest', () => tracker.beforeHarvest?.(this.#core));
    this.#exits?.check();
    const pages = this.#map.harvest(into);
    this.#pagesMarked += pages;
    const notes = this.#freshNotes;
    this.#freshNotes = [];
    return { pages, notes };
  }

  async beforePause(): Promise<void> {
    this.#expect('beforePause');
    const tracker = this.#tracker!;
    await this.#call('beforePause', () => tracker.beforePause?.(this.#core));
  }

  async quiesce(): Promise<void> {
    this.#expect('quiesce');
    const tracker = this.#tracker!;
    await this.#call('quiesce', () => tracker.quiesce(this.#core));
    this.#phase = 'quiesced';
  }

  async saveState(): Promise<Uint8Array> {
    this.#expect('saveState');
    const tracker = this.#tracker!;
    const state = await this.#call('saveDevice', () => this.#definition.saveDevice(this.#context, tracker));
    return encodeState({ plugin: this.identity.name, version: this.identity.version }, state);
  }

  async restoreState(bytes: Uint8Array): Promise<void> {
    this.#expect('restoreState');
    const state = decodeState({ plugin: this.identity.name, version: this.identity.version }, bytes);
    await this.#call('restoreDevice', () => this.#definition.restoreDevice(this.#context, state));
    this.#phase = 'restored';
  }

  async announce(): Promise<void> {
    this.#expect('announce');
    const { announce } = this.#definition;
    if (announce === undefined) {
      await this.#call('announce', () => this.#context.announce());
      return;
    }
    try {
      this.#arrivalCounters = (await this.#call('announce', () => announce(this.#context))) ?? {};
    } catch (error) {
      // the guest runs here: whatever the plugin does, the network learns of it
      await this.#call('announce', () => this.#context.announce());
      throw error;
    }
  }

  async rollback(): Promise<void> {
    if (this.#phase === 'stopped' || this.#phase === 'rolledBack') return;
    const before = this.#phase;
    this.#phase = 'rolledBack';
    // these first: they must not look at the device while the plugin puts it back
    this.#exits?.remove();
    await this.#endCore();
    const tracker = this.#tracker;
    if (tracker === null || before === 'idle' || before === 'prepared' || before === 'restored') return;
    await this.#call('rollbackDevice', () => this.#definition.rollbackDevice(this.#context, tracker));
  }

  stop(): Promise<TrackerReport> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<TrackerReport> {
    this.#phase = 'stopped';
    await this.#endCore();
    const tracker = this.#tracker;
    try {
      this.#exits?.remove();
      await this.#call('stop', () => tracker?.stop?.());
    } catch (error) {
      this.#note(error instanceof Error ? error.message : String(error));
    }
    return {
      plugin: this.identity.name,
      version: this.identity.version,
      options: this.identity.options,
      coreCpuNs: this.#coreReport?.cpuNs ?? 0,
      coreAliveNs: this.#coreReport?.aliveNs ?? 0,
      pagesMarked: this.#pagesMarked,
      counters: { ...this.#coreCounters(), ...this.#trackerCounters(), ...this.#arrivalCounters },
      notes: this.#notes,
    };
  }

  async #endCore(): Promise<void> {
    const core = this.#core ?? this.#loading;
    if (core === null) return;
    const hasBegun = this.#core !== null;
    this.#core = null;
    this.#loading = null;
    this.#coreReport = await core.stop();
    if (this.#coreReport === null && hasBegun)
      this.#note('the tracker core did not listen and was killed: its cost is unknown');
  }

  #coreCounters(): Record<string, number> {
    const report = this.#coreReport;
    return report === null ? {} : { ...report.counters, coreLoopCpuNs: report.loopCpuNs };
  }

  #trackerCounters(): Readonly<Record<string, number>> {
    try {
      return this.#tracker?.counters?.() ?? {};
    } catch (error) {
      this.#note(
        `the plugin's counters cannot be had: ${error instanceof Error ? error.message : String(error)}`,
      );
      return {};
    }
  }

  #call<T>(what: string, call: () => T | Promise<T>): Promise<T> {
    return callPlugin(this.identity.name, what, this.#limits.callMs, this.#timers, call);
  }

  #note(text: string): void {
    this.#notes.push(text);
    this.#freshNotes.push(text);
    this.#options.onNote?.(text);
  }

  #expect(step: string): void {
    if (!LEGAL[step]!.includes(this.#phase)) {
      throw new PluginOrderError(
        `plugin ${this.identity.name}: ${step} is not possible when it is ${this.#phase}`,
      );
    }
  }
}

/** Polls with sleeps that grow from none to 1 ms: most conditions hold after microseconds. */
async function waitUntil(
  timers: TimerClock,
  what: string,
  condition: () => boolean,
  limitMs: number,
): Promise<void> {
  const endNs = timers.nowNs() + limitMs * 1e6;
  for (let polls = 0; !condition(); polls++) {
    if (timers.nowNs() > endNs) throw new PluginTimeout(`waited ${limitMs} ms in vain for ${what}`);
    if (polls < 100) await timers.yield();
    else await new Promise<void>((resolve) => timers.after(1, resolve));
  }
}
