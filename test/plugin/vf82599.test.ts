/** A VF's state: hidden Tx contexts, head write-back, and hostile states. */
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import srvm from '../../plugins/srvm/plugin.js';
import { Arrival } from '../../src/plugin/conformance/arrival.js';
import { guestFrame } from '../../src/plugin/conformance/mini-driver.js';
import { MigrationRig } from '../../src/plugin/conformance/rig.js';
import { TEST_MAC, TestHost } from '../../src/plugin/conformance/test-host.js';
import type { StateFields } from '../../src/plugin/device-view.js';
import { PluginMigrator } from '../../src/plugin/host.js';
import { decodeState, encodeState } from '../../src/plugin/state-codec.js';
import { TX, txRegister } from '../../src/plugin/vf82599/registers.js';

const closing: { close(): void }[] = [];
const keep = <T extends { close(): void }>(thing: T): T => {
  closing.push(thing);
  return thing;
};
afterEach(() => {
  for (const each of closing.splice(0)) each.close();
});

const VLAN = 5;
/** A context descriptor for index 0: VLAN tag, 14-byte MAC header. */
const vlanContext = [(VLAN << 16) | (14 << 9), 0, (2 << 20) | (1 << 29), 0];
const INSERT_VLAN = 1 << 30;
const BUS_MASTER = 1 << 2;

const tagsSent = (host: TestHost): number[] => {
  const tags: number[] = [];
  host.peer.receive((bytes, offset) => {
    const tagged = bytes[offset + 12] === 0x81 && bytes[offset + 13] === 0;
    tags.push(tagged ? ((bytes[offset + 14]! & 0xf) << 8) | bytes[offset + 15]! : -1);
    return true;
  }, 1000);
  return tags;
};

const started = async (mode: string): Promise<MigrationRig> => {
  const rig = keep(new MigrationRig(srvm, { options: { mode } }));
  rig.host.driver.setVlan(rig.host.driver.vf(0), VLAN, true);
  rig.driver.up();
  return rig;
};

describe('Tx contexts', () => {
  for (const mode of ['scan', 'shadow-doorbell']) {
    it(`set before the switch hold after it (${mode})`, async () => {
      const rig = await started(mode);
      await rig.start();
      rig.driver.send(guestFrame(TEST_MAC, 100), 0, vlanContext, INSERT_VLAN);
      rig.engine();
      rig.step();
      expect(tagsSent(rig.host)).toEqual([VLAN]);
      // the ring goes round: the context's own descriptor is overwritten
      for (let i = 0; i < 100; i++) {
        rig.driver.send(guestFrame(TEST_MAC, 100), 0, 'set', INSERT_VLAN);
        rig.engine();
        rig.step();
      }
      const state = await rig.stopAndCopy();
      const there = keep(new Arrival(rig, srvm, { mode }));
      await there.activate(state);
      expect(rig.notes).toEqual([]);
      rig.driver.send(guestFrame(TEST_MAC, 100), 0, 'set', INSERT_VLAN);
      there.engine();
      expect(tagsSent(there.host)).toEqual([VLAN]);
    });
  }

  // the card takes contexts only of a VF that may send (found by the simulator, seeds 4520, 4688)
  const closedWays: [string, (host: TestHost) => void, (host: TestHost) => void][] = [
    [
      'a guest that is not admitted: it reset its VF and has not asked yet',
      ({ driver }) => {
        driver.vf(0).clearToSend = false;
        driver.setDma(driver.vf(0), false);
      },
      ({ driver }) => driver.admit(driver.vf(0)),
    ],
    [
      'a guest without bus mastering',
      (host) => host.configWrite(4, host.configRead(4) & 0xffff & ~BUS_MASTER),
      (host) => host.configWrite(4, (host.configRead(4) & 0xffff) | BUS_MASTER),
    ],
  ];
  for (const [who, close, open] of closedWays) {
    it(`move with ${who}`, async () => {
      const rig = await started('scan');
      await rig.start();
      rig.driver.send(guestFrame(TEST_MAC, 100), 0, vlanContext, INSERT_VLAN);
      rig.engine();
      rig.step();
      close(rig.host);
      const there = keep(new Arrival(rig, srvm, { mode: 'scan' }));
      await there.activate(await rig.stopAndCopy());
      rig.driver.send(guestFrame(TEST_MAC, 100), 0, 'set', INSERT_VLAN);
      there.engine();
      expect(tagsSent(there.host)).toEqual([]);
      open(there.host);
      there.engine();
      expect(tagsSent(there.host)).toEqual([VLAN]);
    });
  }

  it('set before tracking began, and gone from the ring: it says so', async () => {
    const rig = await started('scan');
    rig.driver.send(guestFrame(TEST_MAC, 100), 0, vlanContext, INSERT_VLAN);
    rig.engine();
    await rig.start();
    for (let i = 0; i < 80; i++) {
      rig.driver.send(guestFrame(TEST_MAC, 100), 0, 'set', INSERT_VLAN);
      if (i % 8 === 7) rig.step();
      rig.engine();
      rig.step();
    }
    await rig.stopAndCopy();
    expect(rig.notes).toEqual([
      'Tx queue 0 uses a context that was set before tracking began: it cannot be moved',
    ]);
  });
});

describe('head write-back', () => {
  it('marks the page of the word that the device writes', async () => {
    const rig = await started('scan');
    rig.host.guestWrite(txRegister(0, TX.TDWBAL), 0xa0_0000 | 1);
    await rig.start();
    rig.driver.send(guestFrame(TEST_MAC, 100));
    rig.engine();
    await rig.round();
    expect(rig.host.words[0xa0_0000 >> 2]).toBe(1);
    expect([...rig.missed]).toEqual([]);
  });
});

describe('a hostile device state', () => {
  const saved = async (): Promise<Uint8Array> => {
    const rig = await started('scan');
    await rig.start();
    rig.offer(20, 500);
    rig.engine();
    return rig.stopAndCopy();
  };
  const arrive = async (host: TestHost, bytes: Uint8Array): Promise<unknown> => {
    const migrator = new PluginMigrator({ definition: srvm, options: { mode: 'scan' }, access: host.access });
    let done = false;
    const restoring = migrator.restoreState(bytes).then(
      () => null,
      (error: unknown) => error,
    );
    void restoring.then(() => {
      done = true;
    });
    while (!done) {
      host.engine.step();
      host.clock.advance(1000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    return restoring;
  };

  it('is refused by name, or leaves a card that still works', async () => {
    const bytes = await saved();
    const origin = { plugin: 'srvm', version: srvm.version };
    const good = decodeState(origin, bytes);
    const evil = fc.oneof(
      fc.integer(),
      fc.nat({ max: 0xffffffff }),
      fc.constant(null),
      fc.string({ maxLength: 5 }),
      fc.constant([]),
      fc.constant({}),
      fc.boolean(),
    );
    await fc.assert(
      fc.asyncProperty(fc.nat(), evil, async (seed, value) => {
        const host = new TestHost({ incoming: true });
        try {
          const error = await arrive(host, encodeState(origin, withOneFieldReplaced(good, seed, value)));
          if (error !== null) expect(error).toBeInstanceOf(Error);
          for (let i = 0; i < 20; i++) host.engine.step();
        } finally {
          host.close();
        }
      }),
      { numRuns: 150 },
    );
  });

  it('a Tx context that would send a packet, or hang the queue, is refused', async () => {
    const origin = { plugin: 'srvm', version: srvm.version };
    const packet = [0x1000, 0, 100 | (3 << 20) | (1 << 24) | (1 << 29), 100 << 14];
    const third = [0, 0, (2 << 20) | (1 << 29), 2 << 4];
    for (const words of [packet, third, [0, 0, 0, 0]]) {
      const state = decodeState(origin, await saved()) as { tx: StateFields[] };
      state.tx[0]!['contexts'] = [words, null];
      const host = keep(new TestHost({ incoming: true }));
      const error = await arrive(host, encodeState(origin, state as unknown as StateFields));
      expect(String(error)).toMatch(/tx\[0\]\.contexts\[0\] is not a descriptor that sets context 0/);
      expect(tagsSent(host)).toEqual([]);
    }
  });

  it('of another version is refused before anything is changed', async () => {
    const origin = { plugin: 'srvm', version: srvm.version };
    const other = { ...decodeState(origin, await saved()), version: 2 };
    const host = keep(new TestHost({ incoming: true }));
    const error = await arrive(host, encodeState(origin, other));
    expect(String(error)).toMatch(/device state: version 2, this plugin reads 1/);
  });

  it('names the field', async () => {
    const origin = { plugin: 'srvm', version: srvm.version };
    const good = decodeState(origin, await saved()) as { rx: StateFields[] };
    good.rx[0]!['head'] = 4000;
    const host = keep(new TestHost({ incoming: true }));
    const error = await arrive(host, encodeState(origin, good as unknown as StateFields));
    expect(String(error)).toMatch(/rx\[0\]\.head is 4000 in a ring of 64 slots/);
  });
});

/** A copy in which one leaf or branch, chosen by the seed, is something else. */
function withOneFieldReplaced(state: StateFields, seed: number, value: unknown): StateFields {
  const copy = structuredClone(state);
  const places: [Record<string, unknown>, string][] = [];
  const walk = (node: unknown): void => {
    if (typeof node !== 'object' || node === null || node instanceof Uint8Array) return;
    for (const key of Object.keys(node)) {
      places.push([node as Record<string, unknown>, key]);
      walk((node as Record<string, unknown>)[key]);
    }
  };
  walk(copy);
  const [owner, key] = places[seed % places.length]!;
  owner[key] = value;
  return copy;
}
