/**
 * A NIC's engine as a virtual core: the production engine over posted DMA writes, its commands a mailbox.
 *
 *   Nic --post--> commands --step--> attach, detach, stop ------> replies on the main thread
 *   doorbell, wire, deadline --wake--> step --> NicEngine.step() --> PostedDomain (bytes land later, in order)
 *                                                            '----> interrupt messages, behind the bytes
 *
 * Nobody notifies a doorbell here: whoever may have rung calls look().
 */
import type { DomainHandle } from '../../hardware/iommu/handle.js';
import { NicEngine } from '../../hardware/nic/engine.js';
import { ENGINE_THREADED } from '../../hardware/nic/queue-state.js';
import { CONTROL, NicShared, PF_POOL, REGION } from '../../hardware/nic/shared.js';
import type { MsiSink } from '../../hardware/pci/msi.js';
import { PAGE_BYTES } from '../../hardware/units.js';
import type { FrameSink, Wire } from '../../hardware/wire/wire.js';
import type { EngineEvents, EngineThread } from '../../hypervisor/host-threads.js';
import { InterruptRemap } from '../../hypervisor/interrupt-remap.js';
import type { NicCommand, NicWorkerData } from '../../hypervisor/nic-messages.js';
import type { Choices } from '../clockwork/choices.js';
import type { HostTime } from '../clockwork/host-time.js';
import type { Scheduler } from '../clockwork/scheduler.js';
import { type StepEnd, stepEnd, type VirtualCore } from '../clockwork/virtual-core.js';
import { PostedDomain, type PostedDomainOptions } from '../dma/posted-writes.js';
import { COSTS } from './costs.js';
import type { CoreSpeeds } from './plan.js';

const DOORBELL = REGION.control + CONTROL.doorbell;
const ENGINE_RUNNING = REGION.control + CONTROL.engineRunning;

export interface EngineCoreOptions {
  readonly scheduler: Scheduler;
  readonly choices: Choices;
  readonly host: HostTime;
  readonly wire: Wire;
  readonly data: NicWorkerData;
  readonly events: EngineEvents;
  readonly speeds: CoreSpeeds;
}

/** Remembers when each page was written last, for who finds it wrong later. */
class WatchedDomain extends PostedDomain {
  readonly writtenNs: Float64Array;
  readonly #engine: EngineCore;
  readonly #scheduler: Scheduler;

  constructor(handle: DomainHandle, options: PostedDomainOptions, engine: EngineCore) {
    super(handle, options);
    this.#engine = engine;
    this.writtenNs = new Float64Array(handle.memory.byteLength / PAGE_BYTES);
    this.#scheduler = options.scheduler;
  }

  /** The engine is a thread: others run between two accesses of its own. */
  override translate(iovaLow: number, iovaHigh: number, bytes: number, write: boolean): number {
    const { core } = this.#engine;
    if (core.isOnStack) this.#scheduler.point(core);
    return super.translate(iovaLow, iovaHigh, bytes, write);
  }

  override markWritten(offset: number, bytes: number): void {
    super.markWritten(offset, bytes);
    const nowNs = this.#scheduler.nowNs();
    const last = Math.floor((offset + bytes - 1) / PAGE_BYTES);
    for (let page = Math.floor(offset / PAGE_BYTES); page <= last; page++) {
      this.writtenNs[page] = nowNs;
      this.#engine.onLanded?.(page, nowNs);
    }
  }
}

export class EngineCore implements EngineThread {
  readonly core: VirtualCore;
  /** Told of every page that DMA has written to, while somebody listens. */
  onLanded: ((page: number, nowNs: number) => void) | null = null;
  readonly #o: EngineCoreOptions;
  readonly #shared: NicShared;
  readonly #engine: NicEngine;
  readonly #msi: InterruptRemap;
  readonly #commands: NicCommand[] = [];
  /** By pool. */
  readonly #domains = new Map<number, WatchedDomain>();
  #attaching = 0;
  #rung = 0;

  constructor(options: EngineCoreOptions) {
    const { scheduler, host, wire, data, events, speeds } = options;
    this.#o = options;
    this.#shared = new NicShared(data.nic);
    this.#msi = new InterruptRemap(data.routes);
    this.core = scheduler.core({
      name: 'engine',
      host,
      kind: 'engine',
      speed: speeds.engine,
      preempt: { chance: speeds.preemptChance, minNs: 1_000, maxNs: speeds.preemptNs },
      step: () => this.#step(),
    });
    this.#engine = new NicEngine({
      shared: this.#shared,
      wire: this.#fewAtATime(wire),
      msi: this.#behindWrites(),
      clock: host,
      openDomain: (handle) => this.#openDomain(handle),
    });
    Atomics.store(this.#shared.words, ENGINE_RUNNING, ENGINE_THREADED);
    wire.onWake = () => this.core.wake();
    host.post('ready', () => events.onReply({ kind: 'ready' }));
    this.core.wake();
  }

  post(command: NicCommand): void {
    this.#commands.push(command);
    this.core.wake();
  }

  /** Wakes the engine if its doorbell was rung. */
  look(): void {
    if (Atomics.load(this.#shared.words, DOORBELL) !== this.#rung) this.core.wake();
  }

  cannotAnswer(words: Int32Array): boolean {
    return this.core.isOnStack && words.buffer === this.#shared.words.buffer;
  }

  /** What a register read pushes: everything the card has posted is in memory when it returns. */
  landAll(): void {
    for (const domain of this.#domains.values()) domain.landAll();
  }

  /** When DMA last wrote a page of guest memory; 0: never. */
  lastWriteNs(page: number): number {
    let lastNs = 0;
    for (const [pool, domain] of this.#domains) {
      if (pool !== PF_POOL) lastNs = Math.max(lastNs, domain.writtenNs[page] ?? 0);
    }
    return lastNs;
  }

  get pendingChunks(): number {
    let chunks = 0;
    for (const domain of this.#domains.values()) chunks += domain.pendingChunks;
    return chunks;
  }

  #step(): StepEnd {
    this.#rung = Atomics.load(this.#shared.words, DOORBELL);
    for (let command = this.#commands.shift(); command !== undefined; command = this.#commands.shift()) {
      if (command.kind === 'stop') return this.#end();
      this.#obey(command);
    }
    const work = this.#engine.step();
    const costNs = COSTS.engineStepNs + work * COSTS.engineFrameNs;
    if (work > 0) return stepEnd(costNs, 0);
    const dueNs = this.#engine.nextDueNs() - this.#o.scheduler.nowNs();
    return stepEnd(costNs, Number.isFinite(dueNs) ? Math.max(0, dueNs) : null);
  }

  #obey(command: Exclude<NicCommand, { kind: 'stop' }>): void {
    const { host, events, wire } = this.#o;
    switch (command.kind) {
      case 'attach':
        if (command.route !== null) this.#msi.map(command.route);
        this.#attaching = command.pool;
        this.#engine.attach(command.pool, command.domain);
        break;
      case 'detach':
        // in a machine the function-level reset before it has waited for what was posted
        this.#domains.get(command.pool)?.landAll();
        this.#domains.get(command.pool)?.close();
        this.#domains.delete(command.pool);
        this.#engine.detach(command.pool);
        if (command.requester !== null) this.#msi.unmap(command.requester);
        break;
      case 'stat': {
        const { busyNs, steps } = this.core;
        const stats = {
          wire: { ...wire.stats },
          cpuNs: busyNs,
          aliveNs: host.nowNs(),
          busySteps: steps,
          sleeps: 0,
          blockedMessages: this.#msi.blocked,
        };
        host.post('reply', () => events.onReply({ kind: 'stat', id: command.id, stats }));
        return;
      }
    }
    host.post('reply', () => events.onReply({ kind: 'done', id: command.id }));
  }

  #end(): StepEnd {
    const { wire, host, events } = this.#o;
    this.#engine.close();
    for (const domain of this.#domains.values()) domain.close();
    this.#domains.clear();
    wire.onWake = null;
    const ended = wire.close();
    host.post('exit', () => void ended.then(() => events.onExit()));
    this.core.kill();
    return stepEnd(COSTS.engineStepNs, null);
  }

  #openDomain(handle: DomainHandle): WatchedDomain {
    const { scheduler, choices, host } = this.#o;
    const pool = this.#attaching;
    const name = `dma ${pool}`;
    const domain = new WatchedDomain(handle, { scheduler, choices: choices.fork(name), host }, this);
    this.#domains.get(pool)?.close();
    this.#domains.set(pool, domain);
    return domain;
  }

  /** Messages must not overtake the writes before them; requester 0 is the PF, 1 + n is VF n. */
  #behindWrites(): MsiSink {
    return {
      deliver: (requester, low, high, data) => {
        const deliver = (): void => this.#msi.deliver(requester, low, high, data);
        const domain = requester === 0 ? undefined : this.#domains.get(requester - 1);
        if (domain === undefined) deliver();
        else domain.after(deliver);
      },
    };
  }

  /** A step takes some frames from the wire, and not always as many: others run in between. */
  #fewAtATime(wire: Wire): Wire {
    const { choices } = this.#o;
    return {
      get linkUp() {
        return wire.linkUp;
      },
      stats: wire.stats,
      onWake: null,
      receive: (sink: FrameSink, budget: number) =>
        wire.receive(sink, Math.min(budget, 1 + choices.int(choices.pick([1, 4, 16, 64])))),
      transmit: (bytes, offset, length) => wire.transmit(bytes, offset, length),
      flush: () => wire.flush(),
      close: () => wire.close(),
    };
  }
}
