/**
 * Virtual time: which event or core comes next, from one seed.
 *
 *   run:   pick the earliest of   events (at)         on a host's main thread or outside; may resolve promises
 *                                 hardware events     what no thread does: DMA that lands, a frame that arrives
 *                                 cores               step functions
 *          do it -> log it -> let microtasks drain (after events; after the others only on promisesMoved()) -> checks
 *
 *   point, pumpUntil:   the same in the middle of a core's step, without events: other cores and hardware only
 *
 * Where times are equal, events keep the order they were made in, and cores come before, between or after by chance.
 */
import type { Choices } from './choices.js';
import { RunIsOver, SchedulerMisuse } from './errors.js';
import type { EventLog } from './event-log.js';
import { EventQueue, type TakenEvent } from './event-queue.js';
import { Externals, macrotask } from './externals.js';
import { HostTime, type HostTimeOptions } from './host-time.js';
import { type CoreSpec, stepEnd, VirtualCore } from './virtual-core.js';
import { WatchedWords } from './watched-words.js';

export interface SchedulerOptions {
  readonly choices: Choices;
  readonly log: EventLog;
  readonly limits: { readonly maxEvents: number; readonly maxVirtualMs: number };
}

export type RunEnd =
  | { readonly kind: 'done' }
  /** Nothing is left that could happen. */
  | { readonly kind: 'idle' }
  | { readonly kind: 'limit'; readonly which: 'maxEvents' | 'maxVirtualMs' };

type Limit = Extract<RunEnd, { kind: 'limit' }>['which'];

/** Steps inside steps: the outermost one, and this many in it. */
const MAX_DEPTH = 5;
/** Synchronous work at most before the process's event loop gets a turn (progress, signals). */
const TURNS_PER_MACROTASK = 2_000;
/** How often a point does something: every nth on average. Drawn per run, so that seeds differ in kind. */
const POINT_MEANS = [3, 10, 30, 100];
/** How far a point may look ahead, ns. */
const POINT_WINDOWS_NS = [0, 500, 5_000, 50_000];
const POINT_STEPS = 4;

export class Scheduler {
  readonly log: EventLog;
  readonly #choices: Choices;
  readonly #limits: SchedulerOptions['limits'];
  readonly #maxNs: number;
  readonly #events = new EventQueue();
  readonly #hardware = new EventQueue();
  readonly #taken: TakenEvent = { call: () => {}, what: '', host: null };
  readonly #cores: VirtualCore[] = [];
  readonly #stack: VirtualCore[] = [];
  readonly #externals = new Externals();
  readonly #watched = new WatchedWords();
  readonly #checks: (() => void)[] = [];
  readonly #pointMean: number;
  #nowNs = 0;
  #happened = 0;
  #promisesMoved = false;
  #coreStartNs = Infinity;
  #untilPoint: number;
  /** The first error of an event, a core or a check. */
  #failure: { readonly error: unknown } | null = null;
  #limit: Limit | null = null;
  #isRunning = false;

  constructor({ choices, log, limits }: SchedulerOptions) {
    this.log = log;
    this.#choices = choices.fork('scheduler');
    this.#limits = limits;
    this.#maxNs = limits.maxVirtualMs * 1e6;
    this.#pointMean = this.#choices.pick(POINT_MEANS);
    this.#untilPoint = this.#choices.between(1, this.#pointMean * 2);
  }

  nowNs(): number {
    return this.#nowNs;
  }

  /** Events and steps so far. */
  get happened(): number {
    return this.#happened;
  }

  /** The core in whose step we are; null: an event's call, or outside. */
  get current(): VirtualCore | null {
    return this.#stack.at(-1) ?? null;
  }

  host(name: string, options: HostTimeOptions = {}): HostTime {
    return new HostTime(name, this, this.#choices.fork(`host ${name}`), options);
  }

  /** The core sleeps until it is woken. */
  core(spec: CoreSpec): VirtualCore {
    const core = new VirtualCore(spec, this, this.#choices.fork(`core ${spec.host.name}/${spec.name}`));
    if (spec.host.isCrashed) core.kill();
    this.#cores.push(core);
    spec.host.cores.push(core);
    return core;
  }

  /** An event on a host's main thread, or outside of all hosts. It may resolve promises. Returns what cancels it. */
  at(delayNs: number, what: string, call: () => void, host: HostTime | null = null): () => void {
    const ticket = this.#events.push(this.#dueAfter(delayNs), what, call, host);
    return () => this.#events.cancel(ticket);
  }

  /** An event that no thread takes part in and that resolves no promise: it may happen in the middle of a core's step. */
  atHardware(delayNs: number, what: string, call: () => void, host: HostTime | null = null): () => void {
    const ticket = this.#hardware.push(this.#dueAfter(delayNs), what, call, host);
    return () => this.#hardware.cancel(ticket);
  }

  /** Told by a core's step or a hardware event that resolved a promise itself (rather than by an event). */
  promisesMoved(): void {
    this.#promisesMoved = true;
  }

  /** Virtual time stands still until the promise has settled. Results come in the order of these calls. */
  external<T>(promise: Promise<T>): Promise<T> {
    this.#promisesMoved = true;
    return this.#externals.announce(promise);
  }

  /** Resolves, on the host's main thread, when words[index] is no longer `seen`. */
  whenChanged(words: Int32Array, index: number, seen: number, host: HostTime | null = null): Promise<void> {
    return new Promise((resolve) => {
      const changed = (): void => {
        if (host === null) this.at(0, 'word', resolve);
        else host.post('word', resolve);
      };
      this.#watched.add({ words, index, seen, host, changed });
    });
  }

  /** Called after every event and step; a throw ends the run. */
  afterEach(check: () => void): void {
    this.#checks.push(check);
  }

  /** For clocks: a reading takes this long. */
  passTime(ns: number): number {
    this.#nowNs += ns;
    return this.#nowNs;
  }

  /** A scheduling point of the core that steps: now and then others take steps before it goes on. */
  point(_core: VirtualCore | null = null): void {
    if (--this.#untilPoint > 0 || this.#isOver || this.#stack.length >= MAX_DEPTH) return;
    this.#untilPoint = this.#choices.between(1, this.#pointMean * 2);
    const untilNs = this.#nowNs + this.#choices.pick(POINT_WINDOWS_NS);
    for (let steps = this.#choices.between(1, POINT_STEPS); steps > 0; steps--) {
      if (!this.#nested(untilNs)) return;
    }
  }

  /**
   * A blocking wait of the core that steps: others go on until `done` or the time is up. Returns done().
   * Throws RunIsOver when nothing can happen any more.
   */
  pumpUntil(_core: VirtualCore | null, done: () => boolean, limitNs: number): boolean {
    const endNs = this.#nowNs + Math.max(1, Math.round(limitNs));
    const waiting = this.current;
    if (waiting !== null) waiting.isWaiting = true;
    try {
      return this.#pump(done, endNs);
    } finally {
      if (waiting !== null) waiting.isWaiting = false;
    }
  }

  /** Runs until `done`, idleness or a limit. Rejects with the first error of an event, a core or a check. */
  async run(done: () => boolean): Promise<RunEnd> {
    if (this.#isRunning) throw new SchedulerMisuse('run() is running already');
    this.#isRunning = true;
    try {
      return await this.#runLoop(done);
    } finally {
      this.#isRunning = false;
    }
  }

  get #isOver(): boolean {
    return this.#failure !== null || this.#limit !== null;
  }

  #dueAfter(delayNs: number): number {
    if (!(delayNs >= 0)) throw new SchedulerMisuse(`an event cannot be due in ${delayNs} ns`);
    return this.#nowNs + Math.round(delayNs);
  }

  async #runLoop(done: () => boolean): Promise<RunEnd> {
    for (let turns = 1; ; turns++) {
      await this.#externals.settle();
      const end = await this.#turn(done);
      if (end !== null && (end.kind !== 'idle' || !(await this.#wakesUp()))) return end;
      if (turns % TURNS_PER_MACROTASK === 0) await macrotask();
    }
  }

  /** Nothing is left to happen, as it seems: real work that nobody announced may still be under way. */
  async #wakesUp(): Promise<boolean> {
    await macrotask();
    this.#watched.look();
    if (!this.#externals.areSettled || this.#nextCore(Infinity) !== null) return true;
    return Math.min(this.#events.dueNs, this.#hardware.dueNs) < Infinity;
  }

  /** Goes on until `done`, the end, or external work; each event's microtasks drain before the next. */
  #turn(done: () => boolean): Promise<RunEnd | null> {
    return new Promise((resolve, reject) => {
      const drained = Promise.resolve();
      // a tick queued by a microtask comes when no microtask is left: cheaper by far than a turn of the event loop
      const queueTick = (): void => process.nextTick(advance);
      let turns = TURNS_PER_MACROTASK;
      const advance = (): void => {
        try {
          const end = this.#externals.areSettled ? this.#advance(done) : null;
          if (end !== null) resolve(end);
          else if (--turns === 0 || !this.#externals.areSettled) resolve(null);
          else drained.then(queueTick);
        } catch (error) {
          reject(error);
        }
      };
      process.nextTick(advance);
    });
  }

  /** Goes on until promises may have moved (null) or the run is over. */
  #advance(done: () => boolean): RunEnd | null {
    this.#promisesMoved = false;
    for (let steps = 0; ; steps++) {
      if (this.#promisesMoved || steps === TURNS_PER_MACROTASK) return null;
      this.#watched.look();
      for (const check of this.#checks) check();
      if (this.#failure !== null) throw this.#failure.error;
      if (this.#limit !== null) return { kind: 'limit', which: this.#limit };
      if (done()) return { kind: 'done' };
      if (!this.#next()) return this.#externals.areSettled ? { kind: 'idle' } : null;
    }
  }

  #pump(done: () => boolean, endNs: number): boolean {
    while (!done()) {
      if (this.#isOver) throw new RunIsOver(this.#limit ?? 'an error');
      if (this.#stack.length < MAX_DEPTH && this.#nested(endNs)) continue;
      if (this.#isOver) continue;
      if (endNs > this.#nowNs) this.#nowNs = endNs;
      this.#countOne();
      return done();
    }
    return true;
  }

  /** Whatever is due first. False: nothing is left. */
  #next(): boolean {
    const eventNs = this.#events.dueNs;
    const hardwareNs = this.#hardware.dueNs;
    const othersNs = Math.min(eventNs, hardwareNs);
    const core = this.#nextCore(othersNs);
    const dueNs = core === null ? othersNs : this.#coreStartNs;
    if (dueNs === Infinity) return false;
    if (dueNs > this.#maxNs) {
      this.#limit = 'maxVirtualMs';
      return true;
    }
    if (dueNs > this.#nowNs) this.#nowNs = dueNs;
    this.#countOne();
    if (core !== null && (dueNs < othersNs || core.tie < FIRST_AMONG_EQUALS)) this.#step(core);
    else if (hardwareNs < eventNs || (hardwareNs === eventNs && (this.#happened & 1) === 0)) {
      this.#happen(this.#hardware, 'hardware');
    } else {
      this.#promisesMoved = true;
      this.#happen(this.#events, 'main');
    }
    return true;
  }

  /** A step or a hardware event in the middle of a step. False: nothing is due by then. */
  #nested(untilNs: number): boolean {
    const hardwareNs = this.#hardware.dueNs;
    const core = this.#nextCore(Math.min(untilNs, hardwareNs));
    if (core === null && hardwareNs > untilNs) return false;
    this.#countOne();
    const dueNs = core === null ? hardwareNs : this.#coreStartNs;
    if (dueNs > this.#nowNs) this.#nowNs = dueNs;
    if (core !== null) this.#step(core);
    else this.#happen(this.#hardware, 'hardware');
    return !this.#isOver;
  }

  /** The core that can start first, by then, and may step here; leaves when in coreStartNs. */
  #nextCore(untilNs: number): VirtualCore | null {
    let next: VirtualCore | null = null;
    let nextNs = untilNs;
    const cores = this.#cores;
    for (let i = 0; i < cores.length; i++) {
      const core = cores[i]!;
      if (core.readyNs > nextNs || core.readyNs === Infinity) continue;
      const startNs = core.startNs;
      if (startNs > nextNs || startNs === Infinity) continue;
      if (next !== null && startNs === nextNs && !goesBefore(core, next)) continue;
      if (this.#stack.length > 0 && !this.#mayNest(core)) continue;
      next = core;
      nextNs = startNs;
    }
    this.#coreStartNs = nextNs;
    return next;
  }

  #mayNest(core: VirtualCore): boolean {
    if (core.isOnStack) return false;
    const mayNest = core.spec.mayNest;
    if (mayNest === undefined) return true;
    for (const under of this.#stack) if (!core.spec.mayNest!(under)) return false;
    return true;
  }

  #step(core: VirtualCore): void {
    const startNs = this.#nowNs;
    this.#stack.push(core);
    core.begin();
    let end = DIED;
    try {
      end = core.spec.step();
    } catch (error) {
      core.kill();
      this.#threw(core, error);
    }
    this.#stack.pop();
    const costNs = core.end(end);
    this.log.add(this.#nowNs, core.actor, 'step', costNs, this.#nowNs - startNs, core.lostNs);
  }

  #threw(core: VirtualCore, error: unknown): void {
    if (error instanceof RunIsOver && this.#isOver) return;
    if (core.spec.onThrow === undefined) {
      this.#failure ??= { error };
      return;
    }
    this.#promisesMoved = true;
    core.spec.onThrow(error);
  }

  #happen(queue: EventQueue, thread: 'main' | 'hardware'): void {
    const taken = this.#taken;
    queue.take(taken);
    const { what, host, call } = taken;
    const actor = host === null ? 'world' : thread === 'main' ? host.actor : host.hardwareActor;
    this.log.add(this.#nowNs, actor, what);
    try {
      call();
    } catch (error) {
      this.#failure ??= { error };
    }
  }

  #countOne(): void {
    this.#happened++;
    if (this.#happened >= this.#limits.maxEvents) this.#limit ??= 'maxEvents';
    if (this.#nowNs > this.#maxNs) this.#limit ??= 'maxVirtualMs';
  }
}

/** Of two cores that can start at the same time: who waited longer, or the lower tie. */
function goesBefore(core: VirtualCore, other: VirtualCore): boolean {
  return core.readyNs < other.readyNs || (core.readyNs === other.readyNs && core.tie < other.tie);
}

/** A core with a lower tie goes before events of the same time. */
const FIRST_AMONG_EQUALS = 0x8000_0000;
const DIED = stepEnd(0, null);
