/**
 * A core in virtual time: a step function, how fast it runs, and when it wants to run again.
 *
 *   asleep --wake / its time comes--> ready --step--> busy for costNs / speed (+ preempted) --> ready | asleep
 *     '----------------- kill ----------'------------------'--> dead
 *
 * A wake-up is never lost: one that comes while the core steps, is busy, preempted or stalled makes it run afterwards.
 */
import type { Choices } from './choices.js';
import type { HostTime } from './host-time.js';

export type CoreKind = 'main' | 'engine' | 'vcpu' | 'tracker' | 'other';

export interface StepEnd {
  /** Busy time at speed 1. */
  readonly costNs: number;
  /** When it wants to run again: ns after it was busy, 0 = at once, null = when woken. */
  readonly againNs: number | null;
}

/**
 * Made here rather than written as an object by each core: the engine then knows one shape for them all, and reading it
 * costs nothing (mixed shapes made it the dearest part of a step).
 */
export function stepEnd(costNs: number, againNs: number | null): StepEnd {
  return new StepEndRecord(costNs, againNs);
}

class StepEndRecord implements StepEnd {
  readonly costNs: number;
  readonly againNs: number | null;

  constructor(costNs: number, againNs: number | null) {
    this.costNs = costNs;
    this.againNs = againNs;
  }
}

export interface CoreSpec {
  readonly name: string;
  readonly host: HostTime;
  readonly kind: Exclude<CoreKind, 'main'>;
  /** 1: the cost that step() says. */
  readonly speed: number;
  step(): StepEnd;
  /** After a step the core may lose its physical core for a while. */
  readonly preempt?: { readonly chance: number; readonly minNs: number; readonly maxNs: number };
  /** How long a sleeping core takes to come up, at most; seeded. Default 3,000. */
  readonly wakeUpNs?: number;
  /** Whether this core may take a step in the middle of a step of `under`. Default: yes. Say no where it might then wait for `under`. */
  mayNest?(under: VirtualCore): boolean;
  /** A step threw: the core is dead. Without this the run ends with the error. */
  onThrow?(error: unknown): void;
}

const DEFAULT_WAKE_UP_NS = 3_000;

/** What a core needs of the scheduler. */
export interface CoreClock {
  nowNs(): number;
}

export class VirtualCore {
  /** `host/name`, as the event log has it. */
  readonly actor: string;
  readonly spec: CoreSpec;
  /** When it is ready to step; Infinity: not before it is woken. */
  readyNs = Infinity;
  /** Among cores that are ready at the same time the lowest goes first; drawn anew for each step. */
  tie = 0;
  /** It is in the middle of a step; and, in it, sleeps in a blocking wait. */
  isOnStack = false;
  isWaiting = false;
  speed: number;
  readonly #clock: CoreClock;
  readonly #choices: Choices;
  /** When it wants to run, and until when it cannot. */
  #wantsNs = Infinity;
  #notBeforeNs = 0;
  #isDead = false;
  #busyNs = 0;
  #lostNs = 0;
  #steps = 0;

  constructor(spec: CoreSpec, clock: CoreClock, choices: Choices) {
    this.spec = spec;
    this.actor = `${spec.host.name}/${spec.name}`;
    this.speed = spec.speed;
    this.#clock = clock;
    this.#choices = choices;
  }

  get name(): string {
    return this.spec.name;
  }

  get host(): HostTime {
    return this.spec.host;
  }

  get kind(): CoreSpec['kind'] {
    return this.spec.kind;
  }

  /** Time it was busy, at its speed. */
  get busyNs(): number {
    return this.#busyNs;
  }

  get steps(): number {
    return this.#steps;
  }

  get isDead(): boolean {
    return this.#isDead;
  }

  /** Makes it run soon if it sleeps. */
  wake(): void {
    if (this.#isDead) return;
    const nowNs = this.#clock.nowNs();
    if (this.#wantsNs <= nowNs) return;
    const atNs = this.isOnStack
      ? nowNs
      : nowNs + this.#choices.int((this.spec.wakeUpNs ?? DEFAULT_WAKE_UP_NS) + 1);
    if (atNs >= this.#wantsNs) return;
    this.#wantsNs = atNs;
    this.#settle();
  }

  /** Takes its physical core away for a while. */
  stall(ns: number): void {
    this.#notBeforeNs = Math.max(this.#notBeforeNs, this.#clock.nowNs() + Math.round(ns));
    this.#settle();
  }

  /** It never steps again; a step under way comes to its end. */
  kill(): void {
    this.#isDead = true;
    this.#settle();
  }

  /** When it can step: it is ready, and has a physical core. */
  get startNs(): number {
    const physicalCores = this.spec.host.physicalCores;
    return physicalCores === null || this.readyNs === Infinity ? this.readyNs : physicalCores.startNs(this);
  }

  /** For the scheduler: a step begins. */
  begin(): void {
    this.host.physicalCores?.take(this, this.#clock.nowNs());
    this.isOnStack = true;
    this.#wantsNs = Infinity;
    this.readyNs = Infinity;
    this.#steps++;
  }

  /** For how long it lost its physical core after its last step. */
  get lostNs(): number {
    return this.#lostNs;
  }

  /** For the scheduler: the step is over. Returns how long it kept the core busy. */
  end(end: StepEnd): number {
    const nowNs = this.#clock.nowNs();
    // never nothing: a core that asks for more at once must not stop virtual time
    const costNs = Math.max(1, Math.round(end.costNs / this.speed));
    this.#busyNs += costNs;
    const freeNs = nowNs + costNs;
    this.#lostNs = 0;
    const againNs = end.againNs === null ? Infinity : freeNs + Math.round(end.againNs);
    const preempt = this.spec.preempt;
    if (preempt !== undefined && this.#choices.chance(preempt.chance)) {
      this.#lostNs = this.#choices.between(preempt.minNs, preempt.maxNs);
    }
    this.spec.host.physicalCores?.leave(this, freeNs);
    this.#notBeforeNs = Math.max(this.#notBeforeNs, freeNs + this.#lostNs);
    this.#wantsNs = Math.min(this.#wantsNs, againNs);
    this.isOnStack = false;
    this.#settle();
    return costNs;
  }

  #settle(): void {
    if (this.isOnStack) return;
    this.readyNs = this.#isDead ? Infinity : Math.max(this.#wantsNs, this.#notBeforeNs);
    this.tie = this.#choices.nextU32();
  }
}
