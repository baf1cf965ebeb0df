/**
 * A built image's vCPU as a virtual core: its WebAssembly runs in slices in the simulator's thread. Each of its polls
 * costs time and is a place where a slice may end: when its time is over, or by chance much earlier.
 *
 *   step -> slice: poll, poll, access (others may run), poll ... -> waits | throttled | paused | again
 *
 * It takes no step in the middle of another core's: an access that has to wait for that core would never end.
 */
import type { LoadedImage } from '../../guest/loaded-image.js';
import type { Clock } from '../../hardware/clock.js';
import { isLinux } from '../../hypervisor/guest-kind.js';
import type { VcpuThreadBoot, VcpuThreadEvents } from '../../hypervisor/host-threads.js';
import { CTRL, layoutFor } from '../../machine/layout.js';
import { controlWords } from '../../machine/memory.js';
import { SlicedVcpu, type SliceEnd } from '../../machine/sliced-vcpu.js';
import type { Choices } from '../clockwork/choices.js';
import { type StepEnd, stepEnd, type VirtualCore } from '../clockwork/virtual-core.js';
import { SimulatedBus } from './simulated-bus.js';
import type { SimulatedVcpu, SimulatedVcpuOptions } from './vcpu-options.js';
import { WordWatch } from './word-watch.js';

export interface ImageVcpuOptions extends SimulatedVcpuOptions {
  /** What the guest's code between two polls takes. */
  readonly pollNs?: number;
}

const POLL_NS = 30;
const CLOCK_READ_NS = 25;
/** Entering and leaving the guest. */
const SLICE_NS = 300;
/** How long a slice may last. Short ones are rare: each costs a stack unwound and rewound. */
const SLICE_LENGTHS_NS: readonly (readonly [ns: number, weight: number])[] = [
  [100, 1],
  [2_000, 3],
  [20_000, 8],
];
const ASLEEP: StepEnd = stepEnd(0, null);

export function createImageVcpu(
  boot: VcpuThreadBoot,
  events: VcpuThreadEvents,
  options: ImageVcpuOptions,
): SimulatedVcpu {
  const { image } = boot;
  if (isLinux(image))
    throw new RangeError('a Linux guest does not run in slices: simulate a component image');
  keepCompiled(image);
  return new ImageVcpu(boot, image, events, options);
}

/** The engine compiles equal bytes once, as long as somebody holds the module: thousands of runs share it. */
const compiled = new Map<string, readonly WebAssembly.Module[]>();

function keepCompiled({ key, plainWasm, logWasm }: LoadedImage): void {
  if (compiled.has(key)) return;
  const compile = (wasm: Uint8Array): WebAssembly.Module => new WebAssembly.Module(wasm as BufferSource);
  compiled.set(key, [compile(plainWasm), compile(logWasm)]);
}

class ImageVcpu implements SimulatedVcpu {
  readonly core: VirtualCore;
  readonly #events: VcpuThreadEvents;
  readonly #options: ImageVcpuOptions;
  readonly #choices: Choices;
  readonly #control: Int32Array;
  readonly #vcpu: SlicedVcpu;
  readonly #orders: WordWatch;
  readonly #interrupts: WordWatch;
  #spentNs = 0;
  #budgetNs = 0;
  #lastNs = 0;
  #isOver = false;

  constructor(boot: VcpuThreadBoot, image: LoadedImage, events: VcpuThreadEvents, options: ImageVcpuOptions) {
    const { memory, name, slots } = boot;
    const { scheduler, host } = options;
    this.#events = events;
    this.#options = options;
    this.#choices = options.choices.fork('slices');
    this.#control = controlWords(memory, layoutFor(image.ramBytes));
    this.core = scheduler.core({
      name: `vcpu ${name}`,
      host,
      kind: 'vcpu',
      speed: options.speed ?? 1,
      ...(options.preempt === undefined ? {} : { preempt: options.preempt }),
      mayNest: () => false,
      step: () => this.#step(),
    });
    const wake = (): void => this.core.wake();
    this.#orders = new WordWatch(scheduler, this.#control, CTRL.command, wake);
    this.#interrupts = new WordWatch(scheduler, this.#control, CTRL.irqSequence, wake);
    const clock: Clock = { nowNs: () => this.#readClock() };
    const bus = new SimulatedBus({
      slots,
      control: this.#control,
      clock,
      options,
      core: () => this.core,
      spend: (ns) => {
        this.#spentNs += ns;
      },
    });
    const port = {
      postMessage: (event: Parameters<VcpuThreadEvents['onEvent']>[0]) => {
        host.post(`vcpu ${event.kind}`, () => events.onEvent(event));
      },
    };
    this.#vcpu = new SlicedVcpu({ image, memory, port }, { bus, clock, poll: () => this.#poll() });
    this.core.wake();
  }

  terminate(): Promise<void> {
    this.#isOver = true;
    this.core.kill();
    this.#options.host.post('vcpu exit', () => this.#events.onExit());
    return Promise.resolve();
  }

  #step(): StepEnd {
    if (this.#isOver) return ASLEEP;
    this.#spentNs = SLICE_NS;
    this.#budgetNs = this.#choices.weighted(SLICE_LENGTHS_NS);
    return this.#after(this.#vcpu.slice());
  }

  #after(end: SliceEnd): StepEnd {
    const costNs = this.#spentNs;
    switch (end.kind) {
      case 'running':
        return stepEnd(costNs, 0);
      case 'waiting':
        this.#interrupts.watch(end.sequence);
        return stepEnd(costNs, Number.isFinite(end.limitMs) ? end.limitMs * 1e6 : null);
      case 'throttled':
        this.#interrupts.watch();
        return stepEnd(costNs, end.sleepMs * 1e6);
      case 'paused':
        this.#orders.watch(end.command);
        return ASLEEP;
      case 'over':
        this.#isOver = true;
        return ASLEEP;
    }
  }

  #poll(): boolean {
    this.#spentNs += this.#options.pollNs ?? POLL_NS;
    return this.#spentNs >= this.#budgetNs;
  }

  /** Time goes on in a slice; it never goes back between two, however fast the core is. */
  #readClock(): number {
    this.#spentNs += CLOCK_READ_NS;
    this.#lastNs = Math.max(this.#lastNs, this.#options.scheduler.nowNs() + this.#spentNs);
    return this.#lastNs;
  }
}
