/**
 * What a tracker must survive. Each scenario plays a guest, a peer and a migration, and says what went wrong in sentences.
 */

import { judgeFrames } from './frames.js';
import type { Scenario, ScenarioKit } from './kit.js';
import { guestFrame } from './mini-driver.js';
import type { MigrationRig, RigOptions } from './rig.js';
import { TEST_MAC } from './test-host.js';

const JUMBO_BYTES = 9000;
/** How far a Tx ring moves. */
const TX_RING_STEP = 0x4000;
/** After a switch a method may lose or duplicate, if it says so, as long as this takes; then no more. */
const SETTLING_FRAMES = 60;

interface Load {
  readonly frames: number;
  readonly bytes: number;
  readonly flows?: number;
  /** Steps of everything per step of the core. */
  readonly coreEvery?: number;
}

/** Peer, device, driver and core take turns. */
function play(rig: MigrationRig, steps: number, load: Load): void {
  const queues = rig.driver.queues.length;
  for (let i = 0; i < steps; i++) {
    rig.offer(load.frames, load.bytes, load.flows);
    rig.engine();
    for (let q = 0; q < queues; q++) rig.driver.clean(q);
    if (i % 3 === 0) rig.driver.send(guestFrame(TEST_MAC, 100));
    if (i % (load.coreEvery ?? 1) === 0) rig.step();
  }
}

/** What every finished pre-copy is judged by. */
function judge(kit: ScenarioKit, rig: MigrationRig): string[] {
  const problems: string[] = [];
  const name = (pages: Iterable<number>): string => [...pages].slice(0, 8).join(', ');
  const differing = rig.differingPages();
  if (kit.claims.tracksEveryPage) {
    if (rig.missed.size > 0)
      problems.push(`${rig.missed.size} pages written by DMA were not marked: ${name(rig.missed)}`);
    if (differing.length > 0)
      problems.push(`${differing.length} pages differ at the destination: ${name(differing)}`);
  } else if (rig.missed.size === 0) {
    problems.push('it claims to miss pages and missed none: the scenario proves nothing');
  }
  if (rig.driver.received.length === 0) problems.push('no traffic arrived: the scenario proves nothing');
  if (rig.driver.damaged > 0) problems.push(`${rig.driver.damaged} frames reached the driver damaged`);
  return problems;
}

/** A scenario of one pre-copy under load. */
const tracking = (
  name: string,
  options: Omit<RigOptions, 'options'>,
  load: Load,
  during: (rig: MigrationRig) => void = () => undefined,
): Scenario => ({
  name,
  async run(kit) {
    const rig = kit.rig(options);
    rig.driver.up();
    play(rig, 5, load);
    await rig.start();
    for (let round = 0; round < 4; round++) {
      play(rig, 60, load);
      during(rig);
      play(rig, 20, load);
      await rig.round();
    }
    play(rig, 10, load);
    // completed, and not looked at by the core
    rig.offer(load.frames, load.bytes, load.flows);
    rig.engine();
    await rig.stopAndCopy();
    return judge(kit, rig);
  },
});

const SMALL: Load = { frames: 6, bytes: 64 };
const LARGE: Load = { frames: 6, bytes: 1514 };

const theSwitch: Scenario = {
  name: 'the switch: every frame once, on either side of it',
  async run(kit) {
    if (!kit.claims.tracksEveryPage) return [];
    const rig = kit.rig({ habits: { freshBuffers: true } });
    rig.driver.up();
    play(rig, 10, LARGE);
    await rig.start();
    play(rig, 60, LARGE);
    await rig.round();
    play(rig, 20, LARGE);
    rig.offer(5, 700);
    rig.engine();
    const state = await rig.stopAndCopy();
    const before = rig.host.access.parts.statistics.read();
    const there = kit.arrival(rig);
    await there.activate(state);
    const after = there.host.access.parts.statistics.read();
    const problems = judge(kit, rig);
    if (JSON.stringify(before) !== JSON.stringify(after))
      problems.push('the statistics did not go on from where they were');
    if ((there.host.interrupts.get(0) ?? 0) === 0)
      problems.push('no interrupt was raised that may have been lost');
    if (there.host.announcements === 0) problems.push('the network was not told');
    const settled = rig.offered + SETTLING_FRAMES;
    for (let i = 0; i < 40; i++) {
      there.offer(9, 400);
      there.engine();
      rig.driver.clean();
    }
    if (!rig.driver.send(guestFrame(TEST_MAC, 80))) problems.push('the guest can send nothing any more');
    there.engine();
    const sent = there.host.access.parts.statistics.read().goodPacketsSent;
    if (sent !== after.goodPacketsSent + 1) problems.push('a frame that the guest sent did not leave');
    return [...problems, ...judgeFrames(kit.claims, rig.driver.received, rig.offered, settled)];
  },
};

type Point = 'after start' | 'after a round' | 'after quiesce' | 'after the state was saved';

const calledOff = (point: Point): Scenario => ({
  name: `called off ${point}: the source goes on`,
  async run(kit) {
    const rig = kit.rig({ habits: { freshBuffers: true } });
    rig.driver.up();
    play(rig, 10, SMALL);
    await rig.start();
    if (point !== 'after start') {
      play(rig, 30, SMALL);
      await rig.round();
      play(rig, 5, SMALL);
    }
    // posted by the guest, and not seen by the core yet
    rig.offer(40, 300);
    rig.engine();
    rig.driver.clean();
    if (point === 'after quiesce') await rig.whileStepping(rig.migrator.quiesce());
    if (point === 'after the state was saved') await rig.stopAndCopy();
    await rig.whileStepping(rig.migrator.rollback());
    await rig.migrator.rollback();
    await rig.migrator.stop();
    rig.core = null;
    const settled = rig.offered + SETTLING_FRAMES;
    play(rig, 150, SMALL);
    const problems = judgeFrames(kit.claims, rig.driver.received, rig.offered, settled);
    if (rig.host.mapping !== 'direct') problems.push(`the Rx page is still mapped ${rig.host.mapping}`);
    return problems;
  },
});

/** A core that was killed could give nothing back. */
const coreDies = (when: string, before: (rig: MigrationRig) => void): Scenario => ({
  name: `its core dies ${when}: the source goes on`,
  async run(kit) {
    const rig = kit.rig({ habits: { freshBuffers: true } });
    rig.driver.up();
    play(rig, 10, SMALL);
    await rig.start();
    play(rig, 30, SMALL);
    await rig.round();
    before(rig);
    rig.core?.kill();
    rig.core = null;
    await rig.whileStepping(rig.migrator.rollback());
    await rig.migrator.stop();
    const problems: string[] = [];
    if (rig.host.mapping !== 'direct') problems.push(`the Rx page is still mapped ${rig.host.mapping}`);
    const from = rig.driver.received.length;
    play(rig, 100, SMALL);
    const arrived = rig.driver.received.length - from;
    if (arrived < 500) problems.push(`only ${arrived} of 600 frames arrived afterwards`);
    if (rig.driver.damaged > 0) problems.push(`${rig.driver.damaged} frames reached the driver damaged`);
    return problems;
  },
});

export const SCENARIOS: readonly Scenario[] = [
  tracking('stock driver, full frames', {}, LARGE),
  tracking('stock driver, smallest frames', {}, SMALL),
  tracking('two queues', { queues: 2 }, { ...LARGE, flows: 9 }),
  tracking(
    'a driver of other habits: fresh straddling buffers, tail on the last slot',
    { habits: { freshBuffers: true, skew: 3000, tail: 'last', batch: 1 } },
    LARGE,
  ),
  tracking('split headers', { habits: { descriptorType: 5 } }, LARGE),
  tracking(
    'frames over several descriptors',
    { habits: { bufferKib: 1, rxSlots: 256, freshBuffers: true } },
    { frames: 3, bytes: JUMBO_BYTES },
  ),
  tracking('a core that hardly gets to run', { habits: { freshBuffers: true } }, { ...SMALL, coreEvery: 40 }),
  tracking('the interface goes down and up', { habits: { freshBuffers: true } }, LARGE, (rig) => {
    rig.driver.startRx(0);
    rig.driver.startTx(0);
  }),
  tracking(
    'the driver is loaded again, with other rings',
    { habits: { freshBuffers: true } },
    LARGE,
    (rig) => {
      const { habits } = rig.driver;
      rig.driver.habits = {
        ...habits,
        ringsAt: habits.ringsAt + 0x4000,
        rxSlots: habits.rxSlots === 64 ? 128 : 64,
      };
      rig.driver.startRx(0);
    },
  ),
  tracking('the Tx ring is another', {}, LARGE, (rig) => {
    rig.driver.txRingsAt ^= TX_RING_STEP;
    rig.driver.startTx(0);
  }),
  tracking('the guest resets its VF', { habits: { freshBuffers: true } }, LARGE, (rig) => {
    rig.host.guestReset();
    rig.driver.up();
  }),
  theSwitch,
  calledOff('after start'),
  calledOff('after a round'),
  calledOff('after quiesce'),
  calledOff('after the state was saved'),
  coreDies('in pre-copy', (rig) => {
    rig.offer(40, 300);
    rig.engine();
    rig.driver.clean();
  }),
  coreDies('while the driver starts its ring over', (rig) => {
    // as far as a driver gets before it reads something back
    rig.driver.stopRx(0);
    rig.driver.programRx(0);
    rig.driver.fillRx(0);
  }),
];
