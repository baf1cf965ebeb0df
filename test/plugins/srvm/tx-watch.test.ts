/** What the core makes of Tx rings that were left, or that went round while nobody looked (found by the simulator). */
import { afterEach, describe, expect, it } from 'vitest';
import srvm from '../../../plugins/srvm/plugin.js';
import { guestFrame } from '../../../src/plugin/conformance/mini-driver.js';
import { MigrationRig } from '../../../src/plugin/conformance/rig.js';
import { TEST_MAC } from '../../../src/plugin/conformance/test-host.js';
import { decodeState } from '../../../src/plugin/state-codec.js';
import { TX, txRegister } from '../../../src/plugin/vf82599/registers.js';

const TX_SLOTS = 256;
const INSERT_VLAN = 1 << 30;
const STALE =
  'Tx queue 0 may have been given another context while its ring went round: the last one seen is moved';
/** Sets context `index` to a VLAN tag. */
const contextOf = (tag: number, index = 0): number[] => [
  (tag << 16) | (14 << 9),
  0,
  (2 << 20) | (1 << 29),
  index << 4,
];

const rigs: MigrationRig[] = [];
afterEach(() => {
  for (const rig of rigs.splice(0)) rig.close();
});

async function started(): Promise<MigrationRig> {
  const rig = new MigrationRig(srvm, { options: { mode: 'scan' }, habits: { txSlots: TX_SLOTS } });
  rigs.push(rig);
  rig.driver.up();
  await rig.start();
  return rig;
}

/** Sends frames with the device at work and nobody looking. `context`: set before the first one. */
function send(rig: MigrationRig, frames: number, context: readonly number[] | null = null): void {
  for (let i = 0; i < frames; i++) {
    const sets = i === 0 ? context : null;
    expect(rig.driver.send(guestFrame(TEST_MAC, 60), 0, sets, sets === null ? 0 : INSERT_VLAN)).toBe(true);
    rig.engine();
  }
  rig.host.peer.receive(() => true, 10_000);
}

const movedContexts = (state: Uint8Array): unknown => {
  const { tx } = decodeState({ plugin: 'srvm', version: srvm.version }, state) as {
    tx: { contexts: (number[] | null)[] }[];
  };
  return tx[0]!.contexts.map((words) => (words === null ? null : words[0]! >>> 16));
};

describe('a Tx context', () => {
  it('that was set again while the ring went round, and is still there, is the one that is moved', async () => {
    const rig = await started();
    send(rig, 1, contextOf(5));
    rig.step();
    send(rig, TX_SLOTS);
    send(rig, 40, contextOf(6));
    const state = await rig.stopAndCopy();
    expect(movedContexts(state)).toEqual([6, null]);
    expect(rig.notes).toEqual([]);
  });

  it('that may have been set again and be overwritten since: it is said', async () => {
    const rig = await started();
    send(rig, 1, contextOf(5));
    rig.step();
    send(rig, 1, contextOf(6));
    send(rig, TX_SLOTS + 40);
    const state = await rig.stopAndCopy();
    expect(movedContexts(state)).toEqual([5, null]);
    expect(rig.notes).toEqual([STALE]);
  });

  it('that was set on another ring meanwhile is found there', async () => {
    const rig = await started();
    send(rig, 1, contextOf(5));
    rig.step();
    rig.driver.txRingsAt += 0x2_0000;
    rig.driver.startTx(0);
    // as long, as far, and the card drops its packet, whose VLAN is not this VF's: neither head nor counter tells
    send(rig, 1, contextOf(6));
    const state = await rig.stopAndCopy();
    expect(movedContexts(state)).toEqual([6, null]);
    expect(rig.notes).toEqual([]);
  });

  it("of an older ring in the same memory is not taken for this one's", async () => {
    const rig = await started();
    send(rig, 10, contextOf(5, 1));
    rig.driver.txRingsAt += 0x2_0000;
    rig.driver.startTx(0);
    send(rig, 10, contextOf(6, 1));
    rig.step();
    rig.driver.txRingsAt -= 0x2_0000;
    rig.driver.startTx(0);
    // the first of the old slots is overwritten, all after it are as they were
    rig.driver.queues[0]!.txToUse = 0;
    send(rig, 1);
    await rig.round();
    rig.host.words.set(contextOf(7, 1), (rig.driver.txRingsAt >> 2) + 4 * 200);
    const state = await rig.stopAndCopy();
    expect(movedContexts(state)).toEqual([null, 6]);
    expect(rig.notes).toEqual([STALE]);
  });

  it('that was never seen is no reason for doubt, one that was seen before each packet is none either', async () => {
    const rig = await started();
    for (let i = 0; i < 2 * TX_SLOTS; i++) send(rig, 1, contextOf(5));
    const state = await rig.stopAndCopy();
    expect(movedContexts(state)).toEqual([5, null]);
    expect(rig.notes).toEqual([]);
  });
});

describe('the word that the Tx head is written to', () => {
  it('is marked when a queue that seemed idle went round to the same slot', async () => {
    const rig = await started();
    const { host, driver } = rig;
    // the ring is one whose head was never seen elsewhere
    host.guestWrite(txRegister(0, TX.TDWBAL), 0xa0_0000 | 1);
    driver.txRingsAt += 0x2_0000;
    driver.startTx(0);
    host.guestWrite(txRegister(0, TX.TDWBAL), 0xa0_0000 | 1);
    await rig.round();
    send(rig, TX_SLOTS);
    await rig.round();
    expect(host.words[0xa0_0000 >> 2]).toBe(0);
    expect([...rig.missed]).toEqual([]);
    await rig.stopAndCopy();
  });

  it('is marked when the ring was left before anybody looked', async () => {
    const rig = await started();
    const { host, driver } = rig;
    host.guestWrite(txRegister(0, TX.TDWBAL), 0xa0_0000 | 1);
    send(rig, 1);
    await rig.round();
    send(rig, 1);
    // another ring, without head write-back
    driver.txRingsAt += 0x2_0000;
    driver.startTx(0);
    await rig.stopAndCopy();
    expect(host.words[0xa0_0000 >> 2]).toBe(2);
    expect([...rig.missed]).toEqual([]);
    expect(rig.differingPages()).toEqual([]);
  });
});
