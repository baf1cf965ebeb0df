/**
 * What a plugin must survive whose guest helps (`claims.needsGuestHelp`). Which help that is, only its author knows: the guest's
 * half comes with the plugin, and is played on the kit's own driver. What is judged is what every method promises, and what
 * this one claims of packets; and that a guest without the half is refused and left alone.
 */
import { judgeFrames } from './frames.js';
import type { Scenario, ScenarioKit } from './kit.js';
import { guestFrame } from './mini-driver.js';
import type { MigrationRig } from './rig.js';
import { TEST_MAC } from './test-host.js';

const BYTES = 700;
/** Frames after a switch, or after one was called off, that a method may lose or duplicate where it says so. */
const SETTLING_FRAMES = 120;

/** The guest's half of a method, on the kit's driver. */
export interface GuestHalf {
  /** The guest runs: it handles what the hypervisor wants of it, or does nothing. */
  serve(): void;
}

function playing(rig: MigrationRig, half: GuestHalf | null, steps: number): void {
  for (let i = 0; i < steps; i++) {
    rig.offer(6, BYTES);
    rig.engine();
    if (half === null) rig.driver.clean();
    else half.serve();
    if (i % 3 === 0) rig.driver.send(guestFrame(TEST_MAC, 100));
  }
}

/** The guest's half takes its turns while the plugin waits for it. */
const meanwhile = (rig: MigrationRig, half: GuestHalf) => (): void => {
  rig.engine();
  half.serve();
};

async function beginning(kit: ScenarioKit): Promise<{ rig: MigrationRig; half: GuestHalf }> {
  const rig = kit.rig({ habits: { freshBuffers: true, dummyWrites: true } });
  rig.driver.up();
  const half = kit.guestHalf!(rig.driver);
  playing(rig, half, 10);
  await rig.whileStepping(rig.start(), meanwhile(rig, half));
  for (let round = 0; round < 3; round++) {
    playing(rig, half, 40);
    await rig.round();
  }
  playing(rig, half, 10);
  return { rig, half };
}

const without: Scenario = {
  name: 'guest help: a guest whose driver does not help is refused, and left alone',
  async run(kit) {
    const rig = kit.rig({ habits: { freshBuffers: true } });
    rig.driver.up();
    playing(rig, null, 10);
    const refused = await rig.whileStepping(
      rig.start().then(
        () => false,
        () => true,
      ),
    );
    await rig.whileStepping(rig.migrator.rollback());
    await rig.migrator.stop();
    playing(rig, null, 60);
    const problems = refused ? [] : ['the migration of a guest without the driver has begun'];
    const exact = { mayLosePackets: false, mayDuplicatePackets: false, mayReorderPackets: false };
    return [...problems, ...judgeFrames(exact, rig.driver.received, rig.offered, 0)];
  },
};

const theSwitch: Scenario = {
  name: 'guest help: the switch',
  async run(kit) {
    const { rig, half } = await beginning(kit);
    await rig.whileStepping(rig.migrator.beforePause(), meanwhile(rig, half));
    const state = await rig.stopAndCopy();
    const differing = rig.differingPages();
    const problems: string[] = [];
    if (differing.length > 0)
      problems.push(
        `${differing.length} pages differ at the destination: ${differing.slice(0, 8).join(', ')}`,
      );
    const there = kit.arrival(rig);
    await there.restore(state);
    rig.driver.host = there.host;
    const arriving = (): void => {
      there.engine();
      half.serve();
    };
    arriving();
    await rig.whileStepping(there.migrator.announce(), arriving);
    for (let i = 0; i < 10; i++) arriving();
    const settled = rig.offered + SETTLING_FRAMES;
    for (let i = 0; i < 60; i++) {
      there.offer(6, BYTES);
      arriving();
    }
    const before = there.host.access.parts.statistics.read().goodPacketsSent;
    if (!rig.driver.send(guestFrame(TEST_MAC, 80))) problems.push('the guest can send nothing any more');
    there.engine();
    if (there.host.access.parts.statistics.read().goodPacketsSent === before)
      problems.push('a frame that the guest sent did not leave');
    if (rig.driver.damaged > 0) problems.push(`${rig.driver.damaged} frames reached the driver damaged`);
    return [...problems, ...judgeFrames(kit.claims, rig.driver.received, rig.offered, settled)];
  },
};

type Point = 'after start' | 'after the guest got ready' | 'after the state was saved';

const calledOff = (point: Point): Scenario => ({
  name: `guest help: called off ${point}: the source goes on`,
  async run(kit) {
    const { rig, half } = await beginning(kit);
    if (point !== 'after start') await rig.whileStepping(rig.migrator.beforePause(), meanwhile(rig, half));
    if (point === 'after the state was saved') await rig.stopAndCopy();
    // the vCPU may stand still: rolling back must not wait for the guest
    await rig.whileStepping(rig.migrator.rollback());
    await rig.whileStepping(rig.migrator.rollback());
    await rig.whileStepping(rig.migrator.stop(), meanwhile(rig, half));
    const settled = rig.offered + SETTLING_FRAMES;
    playing(rig, half, 100);
    const problems =
      rig.driver.damaged > 0 ? [`${rig.driver.damaged} frames reached the driver damaged`] : [];
    if (rig.host.mapping !== 'direct') problems.push(`the Rx page is still mapped ${rig.host.mapping}`);
    return [...problems, ...judgeFrames(kit.claims, rig.driver.received, rig.offered, settled)];
  },
});

export const NO_HELP_SCENARIOS: readonly Scenario[] = [without];
export const HELP_SCENARIOS: readonly Scenario[] = [
  without,
  theSwitch,
  calledOff('after start'),
  calledOff('after the guest got ready'),
  calledOff('after the state was saved'),
];
