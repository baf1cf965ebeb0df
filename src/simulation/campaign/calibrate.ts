/**
 * Measures what steps cost on this machine: the production step functions under the real clock, one at a time, in this
 * thread. A cost is the lower quartile of many short samples, which is what a step takes while nobody else has the core;
 * sizes are fitted by a straight line.
 */
import { cpus } from 'node:os';
import { realClock } from '../../hardware/clock.js';
import { PAGE_BYTES } from '../../hardware/units.js';
import { threadCpuNs } from '../../hypervisor/thread-cpu.js';
import { layoutFor } from '../../machine/layout.js';
import { createMemory } from '../../machine/memory.js';
import { createHashedBuffer, createPageHelper } from '../../migration/page-helper.js';
import { batchBufferBytes, PageSender } from '../../migration/sender.js';
import { FrameEncoder } from '../../migration/stream/encoder.js';
import { MigrationRig } from '../../plugin/conformance/rig.js';
import type { PluginDefinition } from '../../plugin/definition.js';
import type { MeasuredCosts, SizedCost } from './costs.js';
import { LeanGuest } from './lean-guest.js';

const FRAME_SIZES = [64, 256, 512, 1024, 1514];
const FRAMES_PER_STEP = 48;
const WARM_UPS = 400;
const SAMPLES = 400;
const PAGES = 2048;
const BATCH_PAGES = 64;
const SLEEPS = 100;
const SLEEP_MS = 0.1;

export interface CalibrateOptions {
  /** Whose core is measured, and in which mode. */
  readonly plugin: PluginDefinition;
  readonly pluginOptions: Readonly<Record<string, string>>;
}

export async function calibrate(options: CalibrateOptions): Promise<MeasuredCosts> {
  const bySize: { bytes: number; engineNs: number; guestNs: number }[] = [];
  for (const bytes of FRAME_SIZES) bySize.push({ bytes, ...(await measureFrames(options, bytes)) });
  const { idleEngineNs, turnNs, descriptorNs } = await measureTracker(options);
  return {
    measuredOn: `${cpus()[0]?.model ?? 'unknown'}, Node ${process.versions.node}`,
    engineStepNs: idleEngineNs,
    engineFrame: lineThrough(bySize.map(({ bytes, engineNs }) => [bytes, engineNs])),
    guestFrameNs: median(bySize.map(({ guestNs }) => guestNs)),
    trackerTurnNs: turnNs,
    trackerDescriptorNs: descriptorNs,
    ...measureSleep(),
    ...measurePages(),
  };
}

const HABITS = { rxSlots: 512, batch: 32 } as const;

async function openRig({ plugin, pluginOptions }: CalibrateOptions): Promise<OpenRig> {
  const rig = new MigrationRig(plugin, { options: pluginOptions, habits: HABITS });
  rig.driver.up();
  await rig.start();
  return { rig, guest: new LeanGuest(rig.driver) };
}

interface OpenRig {
  readonly rig: MigrationRig;
  readonly guest: LeanGuest;
}

/** One turn of the wheel: frames arrive, the engine takes them, the guest takes and refills, the tracker looks. */
function turn({ rig, guest }: OpenRig, frames: number, bytes: number, sample: Record<Part, number[]>): void {
  rig.offer(frames, bytes);
  rig.host.clock.advance(100_000);
  const startNs = realClock.nowNs();
  rig.host.engine.step();
  const engineNs = realClock.nowNs();
  guest.poll(FRAMES_PER_STEP);
  const guestNs = realClock.nowNs();
  rig.core?.step();
  const trackerNs = realClock.nowNs();
  sample.engine.push(engineNs - startNs);
  sample.guest.push(guestNs - engineNs);
  sample.tracker.push(trackerNs - guestNs);
}

type Part = 'engine' | 'guest' | 'tracker';

function measureTurns(open: OpenRig, frames: number, bytes: number): Record<Part, number> {
  const warmUp: Record<Part, number[]> = { engine: [], guest: [], tracker: [] };
  for (let i = 0; i < WARM_UPS; i++) turn(open, frames, bytes, warmUp);
  const samples: Record<Part, number[]> = { engine: [], guest: [], tracker: [] };
  for (let i = 0; i < SAMPLES; i++) turn(open, frames, bytes, samples);
  return {
    engine: quartile(samples.engine),
    guest: quartile(samples.guest),
    tracker: quartile(samples.tracker),
  };
}

async function measureFrames(options: CalibrateOptions, bytes: number) {
  const open = await openRig(options);
  try {
    const idle = measureTurns(open, 0, bytes);
    const busy = measureTurns(open, FRAMES_PER_STEP, bytes);
    return {
      engineNs: (busy.engine - idle.engine) / FRAMES_PER_STEP,
      guestNs: (busy.guest - idle.guest) / FRAMES_PER_STEP,
    };
  } finally {
    open.rig.close();
  }
}

/** Of its idle turn and its busy one the difference is the descriptors'. */
async function measureTracker(options: CalibrateOptions) {
  const open = await openRig(options);
  try {
    const busy = measureTurns(open, FRAMES_PER_STEP, 64);
    const idle = measureTurns(open, 0, 64);
    return {
      idleEngineNs: idle.engine,
      turnNs: idle.tracker,
      descriptorNs: Math.max(0, busy.tracker - idle.tracker) / FRAMES_PER_STEP,
    };
  } finally {
    open.rig.close();
  }
}

function measureSleep(): Pick<MeasuredCosts, 'sleepCpuNs' | 'wakeLateNs'> {
  const word = new Int32Array(new SharedArrayBuffer(4));
  const lateNs: number[] = [];
  const cpuBeforeNs = threadCpuNs();
  for (let i = 0; i < SLEEPS; i++) {
    const startNs = realClock.nowNs();
    Atomics.wait(word, 0, 0, SLEEP_MS);
    lateNs.push(realClock.nowNs() - startNs - SLEEP_MS * 1e6);
  }
  const cpuAfterNs = threadCpuNs();
  const sleepCpuNs = cpuBeforeNs === null || cpuAfterNs === null ? 0 : (cpuAfterNs - cpuBeforeNs) / SLEEPS;
  return { sleepCpuNs, wakeLateNs: Math.max(0, median(lateNs)) };
}

function measurePages(): Pick<MeasuredCosts, 'pageNs' | 'zeroPageNs'> {
  const layout = layoutFor(PAGES * 2 * PAGE_BYTES);
  const memory = createMemory(layout);
  const map = new Uint8Array(layout.ramPages);
  const buffer = createHashedBuffer(batchBufferBytes(BATCH_PAGES));
  const sender = new PageSender({
    memory: memory.buffer as unknown as SharedArrayBuffer,
    ramPages: layout.ramPages,
    map,
    helper: createPageHelper(memory),
    encoder: new FrameEncoder(),
    link: { take: () => buffer, put: () => {} },
    clock: realClock,
    batchPages: BATCH_PAGES,
  });
  new Uint8Array(memory.buffer).fill(1, 0, PAGES * PAGE_BYTES);
  const round = (from: number, to: number): number => {
    map.fill(1, from, to);
    sender.begin();
    const startNs = realClock.nowNs();
    while (!sender.done) sender.step();
    return (realClock.nowNs() - startNs) / (to - from);
  };
  const ofRounds = (from: number, to: number): number =>
    quartile(Array.from({ length: 12 }, () => round(from, to)).slice(2));
  return { pageNs: ofRounds(0, PAGES), zeroPageNs: ofRounds(PAGES, PAGES * 2) };
}

const atRank = (samples: readonly number[], rank: number): number =>
  [...samples].sort((a, b) => a - b)[Math.floor(samples.length * rank)]!;
const quartile = (samples: readonly number[]): number => atRank(samples, 0.25);
const median = (samples: readonly number[]): number => atRank(samples, 0.5);

/** Least squares; neither part below nothing. */
function lineThrough(points: readonly (readonly [bytes: number, ns: number])[]): SizedCost {
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / points.length;
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / points.length;
  const over = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0);
  const under = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
  const nsPerByte = Math.max(0, over / under);
  return { ns: Math.max(0, meanY - nsPerByte * meanX), nsPerByte };
}
