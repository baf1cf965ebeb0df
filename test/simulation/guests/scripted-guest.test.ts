/** The mean guest alone on a production card and engine: it must never find anything wrong. */
import { describe, expect, it } from 'vitest';
import { pfn } from '../../../src/hardware/units.js';
import { readComplaints } from '../../../src/simulation/guests/scripted/complaints.js';
import { readGuestCounters } from '../../../src/simulation/guests/scripted/counters.js';
import { scriptedImage } from '../../../src/simulation/guests/scripted/image.js';
import { createScriptedVcpu } from '../../../src/simulation/guests/scripted/scripted-vcpu.js';
import { LoneGuest } from './lone-guest.js';

const MIB = 1024 * 1024;
const SEEDS_TOGETHER = 10;
const SEEDS = [1000, 1010, 1020] as const;

async function bootedGuest(seed: number): Promise<LoneGuest> {
  const guest = new LoneGuest({
    seed,
    image: scriptedImage(2 * MIB),
    commandLine: `seed=${seed}`,
    startVcpu: createScriptedVcpu,
  });
  await guest.boot();
  return guest;
}

describe('the scripted guest alone', () => {
  it('brings its VF up and takes whole frames', async () => {
    const guest = await bootedGuest(1);
    await guest.pass(20);
    expect(guest.vm!.state.kind).toBe('running');
    expect(readGuestCounters(guest.ram).framesTaken).toBeGreaterThan(100);
    expect(readComplaints(guest.ram)).toEqual([]);
  });

  it('does the same again from the same seed', async () => {
    const hashes: string[] = [];
    for (let run = 0; run < 2; run++) {
      const guest = await bootedGuest(5);
      await guest.pass(10);
      hashes.push(guest.log.hash);
    }
    expect(hashes[0]).toBe(hashes[1]);
  });

  it.each(SEEDS)('finds nothing wrong with seeds from %i on', async (first) => {
    for (let seed = first; seed < first + SEEDS_TOGETHER; seed++) {
      const guest = await bootedGuest(seed);
      await guest.pass(8);
      expect(guest.vm!.state.kind, `seed ${seed}`).toBe('running');
      expect(readComplaints(guest.ram), `seed ${seed}`).toEqual([]);
      expect(guest.peer.damaged, `seed ${seed}`).toEqual([]);
    }
  });

  // an engine that took the next ring's registers for those of the ring it was working on
  it.each([7, 9, 136])('stops a queue in the middle of a packet (seed %i)', async (seed) => {
    const guest = await bootedGuest(seed);
    await guest.pass(12);
    expect(readComplaints(guest.ram)).toEqual([]);
    expect(guest.peer.damaged).toEqual([]);
  });

  it('stands still while it is paused, and goes on from its RAM', async () => {
    const guest = await bootedGuest(2);
    await guest.pass(10);
    await guest.until(guest.vm!.pause());
    const before = readGuestCounters(guest.ram).framesTaken;
    await guest.pass(5);
    expect(readGuestCounters(guest.ram).framesTaken).toBe(before);
    guest.vm!.resume();
    await guest.pass(10);
    expect(readGuestCounters(guest.ram).framesTaken).toBeGreaterThan(before);
    expect(readComplaints(guest.ram)).toEqual([]);
  });

  it('marks its stores while they are logged', async () => {
    const guest = await bootedGuest(3);
    await guest.pass(5);
    await guest.until(guest.vm!.setDirtyLogging(true));
    const before = guest.ram.slice();
    await guest.pass(10);
    await guest.until(guest.vm!.pause());
    const log = guest.vm!.openDirtyLog();
    let marked = 0;
    const written = guest.vm!.groundTruth.map((truth) => new Uint8Array(truth));
    const missed: number[] = [];
    for (let page = 0; page < guest.vm!.layout.ramPages; page++) {
      const same = Buffer.compare(pageOf(before, page), pageOf(guest.ram, page)) === 0;
      if (log.isMarked(pfn(page))) marked++;
      else if (!same && !written.some((truth) => truth[page] !== 0)) missed.push(page);
    }
    expect(marked).toBeGreaterThan(2);
    expect(missed).toEqual([]);
  });

  it('traps where its state page is not its own', async () => {
    const guest = await bootedGuest(4);
    await guest.pass(5);
    await guest.until(guest.vm!.pause());
    guest.ram.fill(0, 0x1000, 0x2000);
    guest.vm!.resume();
    await guest.pass(5);
    expect(guest.vm!.state).toMatchObject({ kind: 'trapped' });
  });
});

const pageOf = (ram: Uint8Array, page: number): Uint8Array => ram.subarray(page * 4096, (page + 1) * 4096);
