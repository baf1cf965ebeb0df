/**
 * Frames of minimum size as fast as the machine makes them, into a ring of 64 slots: the scanning core is lapped, says
 * so, and the result is right all the same; serving the doorbell at the same load misses nothing and marks nothing else.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { BulkSender } from '../../src/measure/load/bulk-sender.js';
import type { MigrationReport } from '../../src/migration/report.js';
import { COUNTER, GUEST_IP, Shuttle, until } from './shuttle.js';

/** Whether a look comes too late depends on who else wants the processor: so many attempts at it. */
const ATTEMPTS = 6;
const FRAME_BYTES = 64;

let shuttle: Shuttle;
let flood: BulkSender;
beforeAll(async () => {
  shuttle = await Shuttle.open({
    image: 'guest-images/packet-sink',
    append: 'rx-ring=64 tx-ring=256',
    linkSpeedMbps: 0,
  });
  flood = new BulkSender({
    peer: shuttle.station,
    targetIp: GUEST_IP,
    frameBytes: FRAME_BYTES,
    rateFps: Number.POSITIVE_INFINITY,
  });
});
afterAll(() => shuttle?.close());

test('scan is lapped, says so, and loses no page', async () => {
  flood.start();
  await floodArrives();
  let lapped: MigrationReport | null = null;
  for (let attempt = 0; attempt < ATTEMPTS && lapped === null; attempt++) {
    const report = await shuttle.hop({ mode: 'scan', slowFirstRound: true });
    expectNothingLost(report);
    if (report.tracker!.counters['laps']! > 0) lapped = report;
    await floodArrives();
  }
  flood.stop();
  expect(lapped, `not lapped in ${ATTEMPTS} migrations`).not.toBeNull();
  const said = [...lapped!.notes, ...lapped!.tracker!.notes, ...lapped!.rounds.flatMap(({ notes }) => notes)];
  expect(said.join('\n')).toMatch(/lapped/);
  await expectUnharmed();
});

test('shadow-doorbell at the same load misses nothing and marks nothing else', async () => {
  flood.start();
  await floodArrives();
  for (let hop = 0; hop < 2; hop++) {
    const report = await shuttle.hop({ mode: 'shadow-doorbell', slowFirstRound: true });
    expectNothingLost(report);
    expect(report.dmaCoverage!.overMarked).toEqual([]);
    await floodArrives();
  }
  flood.stop();
  await expectUnharmed();
});

function expectNothingLost({ verdict, dmaCoverage, notes }: MigrationReport): void {
  expect(verdict?.pagesDiffering, notes.join('; ')).toBe(0);
  expect(dmaCoverage?.missed).toEqual([]);
  expect(dmaCoverage?.pagesWritten).toBeGreaterThan(0);
}

async function received(): Promise<bigint> {
  return (await shuttle.guestCounters())[COUNTER.received]!;
}

async function floodArrives(): Promise<void> {
  const before = await received();
  await until('the guest takes the flood', async () => (await received()) > before + 1000n);
}

/** What the guest was given was whole and came once; frames that found no room are the ring's affair, not an error. */
async function expectUnharmed(): Promise<void> {
  const counters = await shuttle.guestCounters();
  expect(counters[COUNTER.received]).toBeGreaterThan(0n);
  for (const index of [COUNTER.badChecksum, COUNTER.outOfOrder, COUNTER.duplicates, COUNTER.hangs]) {
    expect(counters[index], `counter ${index}`).toBe(0n);
  }
}
