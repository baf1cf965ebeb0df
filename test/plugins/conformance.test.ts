/** The plugins of this repository against the conformance kit. */
import { describe, expect, it } from 'vitest';
import compsc from '../../plugins/compsc/plugin.js';
import dnis from '../../plugins/dnis/plugin.js';
import freezeWalk from '../../plugins/freeze-walk/plugin.js';
import none from '../../plugins/none/plugin.js';
import { type MiniDriver, runConformance, scenarioNames } from '../../src/plugin/conformance/index.js';
import type { PluginDefinition } from '../../src/plugin/definition.js';
import { CompscGuest } from './guests/compsc-guest.js';
import { shippedPlugins } from './shipped.js';

for (const { title, definition, options, guestHalf } of await shippedPlugins()) {
  describe(title, () => {
    for (const name of scenarioNames(definition, guestHalf)) {
      it(name, async () => {
        const [result] = await runConformance(definition, options, [name], guestHalf);
        expect(result!.problems).toEqual([]);
      });
    }
  });
}

describe('the kit', () => {
  it('catches a plugin that claims to track and does not', async () => {
    const { claims: _claims, ...rest } = none as unknown as PluginDefinition;
    const results = await runConformance(rest, {}, ['stock driver, full frames', 'split headers']);
    for (const { problems } of results) {
      expect(problems.join(' ')).toMatch(/pages written by DMA were not marked/);
      expect(problems.join(' ')).toMatch(/pages differ at the destination/);
    }
  });

  it('catches a plugin that leaves the device stopped when it is called off', async () => {
    const forgetful: PluginDefinition = {
      ...(none as unknown as PluginDefinition),
      rollbackDevice: () => undefined,
    };
    const [result] = await runConformance(forgetful, {}, ['called off after quiesce: the source goes on']);
    expect(result!.problems.join(' ')).toMatch(/of \d+ frames were lost/);
  });

  it('catches a plugin that does not take the VF away, or does not bring it back', async () => {
    const good = dnis as unknown as PluginDefinition;
    const problemsOf = async (change: Partial<PluginDefinition>, scenario: string): Promise<string> => {
      const [result] = await runConformance({ ...good, ...change }, {}, [`hot-plug: ${scenario}`]);
      return result!.problems.join(' ');
    };
    const awayAndBack = 'the VF is away in pre-copy, and another one comes at the destination';
    expect(await problemsOf({ announce: () => undefined }, awayAndBack)).toMatch(/has no VF after/);
    const keeps = { createTracker: () => ({ wasPlugged: false, quiesce: () => undefined }) };
    expect(await problemsOf(keeps, awayAndBack)).toMatch(/still in its slot/);
    const calledOff = 'called off after the state was saved: the source has its VF back';
    expect(await problemsOf({ rollbackDevice: () => undefined }, calledOff)).toMatch(/did not come back/);
  });

  it('catches a guest that does not help as it should, and a plugin that does not let go of it', async () => {
    const good = compsc as unknown as PluginDefinition;
    const idle = (driver: MiniDriver): CompscGuest => {
      driver.habits = { ...driver.habits, dummyWrites: false };
      return new CompscGuest(driver);
    };
    const [silent] = await runConformance(good, {}, ['guest help: the switch'], idle);
    expect(silent!.problems.join(' ')).toMatch(/pages differ at the destination/);
    const keeps = { ...good, rollbackDevice: () => undefined };
    const calledOff = 'guest help: called off after the guest got ready: the source goes on';
    const [held] = await runConformance(keeps, {}, [calledOff], (driver) => new CompscGuest(driver));
    expect(held!.problems.join(' ')).toMatch(/frames were lost after the switch was over/);
  });

  it('judges a plugin that marks at the pause only at the pause, and no other', async () => {
    const late = { ...(freezeWalk as unknown as PluginDefinition), claims: {} };
    const never = { ...(none as unknown as PluginDefinition), claims: { marksAtPauseOnly: true } };
    for (const definition of [late, never]) {
      const [result] = await runConformance(definition, {}, ['stock driver, full frames']);
      expect(result!.problems.join(' ')).toMatch(/pages written by DMA were not marked/);
    }
  });
});
