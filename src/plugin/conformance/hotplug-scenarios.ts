/**
 * What a plugin must survive that takes the VF away by hot-plug (`requires: ['pci-hotplug']`). It has no VF in pre-copy, so the
 * scenarios of a tracker say nothing about it: here it is whether the VF goes and comes, with the guest's consent only, and
 * whether the guest has it back whatever fails.
 */
import type { Scenario, ScenarioKit } from './kit.js';
import { PluggableGuest } from './pluggable-guest.js';
import type { MigrationRig } from './rig.js';

const BYTES = 300;
/** Virtual time that a guest is left to think it over, per step. */
const THINKING_NS = 20e6;

interface Scene {
  readonly rig: MigrationRig;
  readonly guest: PluggableGuest;
  /** Everyone takes a turn. */
  step(): void;
}

function open(kit: ScenarioKit): Scene {
  const rig = kit.rig({ habits: { freshBuffers: true } });
  const guest = new PluggableGuest(rig.driver);
  rig.driver.up();
  traffic(rig, 10);
  return {
    rig,
    guest,
    step: () => {
      rig.engine();
      guest.serve();
    },
  };
}

function traffic(rig: MigrationRig, steps: number): void {
  for (let i = 0; i < steps; i++) {
    rig.offer(6, BYTES);
    rig.engine();
    rig.driver.clean();
  }
}

/** Frames that come from now on reach the guest, in order and once. */
function goesOn(rig: MigrationRig, offer: () => void = () => traffic(rig, 40)): string[] {
  const from = rig.driver.received.length;
  const first = rig.offered;
  offer();
  const fresh = rig.driver.received.slice(from);
  const wrong = fresh.findIndex((sequence, i) => sequence !== first + i);
  const problems: string[] = [];
  if (fresh.length !== rig.offered - first)
    problems.push(`${fresh.length} of ${rig.offered - first} frames reached the guest afterwards`);
  if (wrong >= 0) problems.push(`frame ${first + wrong} arrived as ${fresh[wrong]}`);
  if (rig.driver.damaged > 0) problems.push(`${rig.driver.damaged} frames reached the driver damaged`);
  return problems;
}

const start = ({ rig, step }: Scene): Promise<void> => rig.whileStepping(rig.start(), step);

const awayAndBack: Scenario = {
  name: 'hot-plug: the VF is away in pre-copy, and another one comes at the destination',
  async run(kit) {
    const scene = open(kit);
    const { rig, guest } = scene;
    const problems: string[] = [];
    await start(scene);
    if (guest.hasVf) return ['the VF was still in its slot when start() had resolved'];
    // whoever sends to it sends to nobody
    for (let i = 0; i < 20; i++) {
      rig.offer(6, BYTES);
      rig.engine();
    }
    const written = rig.host.takeTruth();
    if (written.size > 0) problems.push(`a VF that was away wrote ${written.size} pages`);
    await rig.round();
    const state = await rig.stopAndCopy();
    const differing = rig.differingPages();
    if (differing.length > 0) problems.push(`${differing.length} pages differ at the destination`);

    const there = kit.arrival(rig);
    await there.restore(state);
    rig.driver.host = there.host;
    if (guest.hasVf) problems.push('the VF was in its slot before the guest ran');
    await there.migrator.announce();
    guest.serve();
    if (!guest.hasVf) return [...problems, 'the guest has no VF after the announcement'];
    const arriving = (): void => {
      for (let i = 0; i < 40; i++) {
        there.offer(6, BYTES);
        there.engine();
        rig.driver.clean();
      }
    };
    return [...problems, ...goesOn(rig, arriving)];
  },
};

const noConsent: Scenario = {
  name: 'hot-plug: a guest that does not let go keeps its VF, and the migration fails',
  async run(kit) {
    const scene = open(kit);
    const { rig, guest } = scene;
    guest.isWilling = false;
    const problems: string[] = [];
    const patience = (): void => {
      scene.step();
      rig.driver.clean();
      rig.host.clock.advance(THINKING_NS);
    };
    const failed = await rig.whileStepping(
      rig.start().then(
        () => false,
        () => true,
      ),
      patience,
    );
    if (!failed) problems.push('start() resolved, and the guest has not let go');
    await rig.whileStepping(rig.migrator.rollback(), scene.step);
    await rig.migrator.stop();
    // an answer that comes too late
    guest.isWilling = true;
    guest.serve();
    if (!guest.hasVf) problems.push('the VF went after the request was taken back');
    return [...problems, ...goesOn(rig)];
  },
};

type Point = 'while the guest is asked' | 'after start' | 'after quiesce' | 'after the state was saved';

const calledOff = (point: Point): Scenario => ({
  name: `hot-plug: called off ${point}: the source has its VF back`,
  async run(kit) {
    const scene = open(kit);
    const { rig, guest } = scene;
    if (point === 'while the guest is asked') {
      guest.isWilling = false;
      const asked = rig.start().catch(() => {});
      for (let i = 0; i < 5; i++) {
        scene.step();
        await new Promise((resolve) => setImmediate(resolve));
      }
      await rig.whileStepping(rig.migrator.rollback(), scene.step);
      await asked;
      guest.isWilling = true;
    } else {
      await start(scene);
      if (point === 'after quiesce') await rig.migrator.quiesce();
      if (point === 'after the state was saved') await rig.stopAndCopy();
      // the vCPU stands still until the device is back: it must not be waited for
      await rig.migrator.rollback();
      await rig.migrator.rollback();
    }
    await rig.migrator.stop();
    guest.serve();
    if (!guest.hasVf) return ['the VF did not come back'];
    return goesOn(rig);
  },
});

export const HOTPLUG_SCENARIOS: readonly Scenario[] = [
  awayAndBack,
  noConsent,
  calledOff('while the guest is asked'),
  calledOff('after start'),
  calledOff('after quiesce'),
  calledOff('after the state was saved'),
];
