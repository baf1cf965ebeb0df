/** Posted writes: whatever the chunks and moments, what is in memory in the end is what direct writes would have put there. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bytesOf } from '../../../src/hardware/bytes.js';
import { createDomainHandle, IommuDomain } from '../../../src/hardware/iommu/domain.js';
import { PAGE_BYTES } from '../../../src/hardware/units.js';
import { Choices } from '../../../src/simulation/clockwork/choices.js';
import { EventLog } from '../../../src/simulation/clockwork/event-log.js';
import { Scheduler } from '../../../src/simulation/clockwork/scheduler.js';
import type { BusTiming } from '../../../src/simulation/dma/bus-timing.js';
import { PostedDomain } from '../../../src/simulation/dma/posted-writes.js';

const PAGES = 16;
const MEMORY_BYTES = PAGES * PAGE_BYTES;
const RANGES = [{ iovaStart: 0, memoryOffset: 0, bytes: MEMORY_BYTES, writable: true }];

interface Rig {
  readonly scheduler: Scheduler;
  readonly domain: PostedDomain;
  readonly truth: Uint8Array;
  readonly crash: () => void;
}

function makeRig(seed: number, timing: Partial<BusTiming> = {}): Rig {
  const choices = new Choices(seed);
  const log = new EventLog({ keep: 'none' });
  const scheduler = new Scheduler({ choices, log, limits: { maxEvents: 1e6, maxVirtualMs: 1e4 } });
  const host = scheduler.host('source');
  const handle = createDomainHandle(new SharedArrayBuffer(MEMORY_BYTES), RANGES, { dirtyBits: true });
  const domain = new PostedDomain(handle, { scheduler, choices: choices.fork('dma'), host, timing });
  return { scheduler, domain, truth: new Uint8Array(handle.truth), crash: () => host.crash() };
}

const frame = (length: number, fill: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (fill + i * 7) & 0xff);

const writes = fc.array(
  fc.oneof(
    fc.record({
      kind: fc.constant('bytes' as const),
      offset: fc.nat(MEMORY_BYTES - 9729),
      length: fc.integer({ min: 1, max: 9728 }),
      fill: fc.nat(255),
    }),
    fc.record({
      kind: fc.constant('descriptor' as const),
      slot: fc.nat(MEMORY_BYTES / 16 - 1),
      value: fc.nat(),
    }),
    fc.record({ kind: fc.constant('read' as const), offset: fc.nat(MEMORY_BYTES - 100), length: fc.nat(99) }),
  ),
  { maxLength: 60 },
);

describe('posted writes', () => {
  it('leave memory and truth as direct writes do', () => {
    fc.assert(
      fc.property(fc.nat(), writes, (seed, list) => {
        const { domain, truth } = makeRig(seed);
        const direct = new IommuDomain(
          createDomainHandle(new SharedArrayBuffer(MEMORY_BYTES), RANGES, { dirtyBits: true }),
        );
        for (const write of list) {
          if (write.kind === 'bytes') {
            const from = bytesOf(frame(write.length + 3, write.fill));
            for (const to of [domain, direct]) to.write(write.offset, from, 3, write.length);
          } else if (write.kind === 'descriptor') {
            for (const to of [domain, direct]) to.writeDescriptor(write.slot * 16, 1, write.value, -2, 3);
          } else {
            domain.beforeRead(write.offset, write.length);
            const end = write.offset + write.length;
            expect(
              Buffer.compare(domain.u8.subarray(write.offset, end), direct.u8.subarray(write.offset, end)),
            ).toBe(0);
          }
        }
        domain.landAll();
        expect(domain.pendingChunks).toBe(0);
        expect(Buffer.compare(domain.u8, direct.u8)).toBe(0);
        expect(Buffer.compare(truth, new Uint8Array(direct.handle.truth))).toBe(0);
        expect(new Uint8Array(domain.handle.control)).toEqual(new Uint8Array(direct.handle.control));
      }),
      { numRuns: 60 },
    );
  });

  it('land by themselves, in order, a prefix at a time', async () => {
    let seenPart = 0;
    for (let seed = 0; seed < 40; seed++) {
      const { scheduler, domain, truth } = makeRig(seed);
      const bytes = frame(1500, seed);
      const before = scheduler.nowNs();
      domain.write(PAGE_BYTES - 700, bytesOf(bytes), 0, 1500);
      domain.writeDescriptor(8 * PAGE_BYTES, 1, 2, 3, 4);
      let delivered = false;
      domain.after(() => {
        delivered = true;
      });
      expect(domain.u8.every((byte) => byte === 0)).toBe(true);
      scheduler.afterEach(() => {
        const landed = bytes.findIndex((byte, i) => domain.u8[PAGE_BYTES - 700 + i] !== byte);
        const whole = landed === -1;
        if (!whole && landed > 1) seenPart++;
        if (!whole) expect(domain.i32[(8 * PAGE_BYTES) >> 2]).toBe(0);
        expect(truth[0]).toBe(truth[0]! > 0 ? 1 : 0);
        if (truth[1] === 1) expect(truth[0]).toBe(1);
        if (delivered) expect(domain.i32[(8 * PAGE_BYTES + 12) >> 2]).toBe(4);
      });
      expect(await scheduler.run(() => false)).toEqual({ kind: 'idle' });
      expect(delivered).toBe(true);
      expect(domain.pendingChunks).toBe(0);
      expect(scheduler.nowNs()).toBeGreaterThan(before);
      expect([...truth.keys()].filter((page) => truth[page] === 1)).toEqual([0, 1, 8]);
    }
    expect(seenPart).toBeGreaterThan(20);
  });

  it('are pushed by a read of what they overlap, with all before them and none behind', () => {
    const { domain } = makeRig(7);
    domain.writeWord(100, 11);
    domain.writeWord(200, 22);
    domain.writeWord(300, 33);
    domain.beforeRead(400, 16);
    expect(domain.pendingChunks).toBe(3);
    domain.beforeRead(202, 1);
    expect(domain.pendingChunks).toBe(1);
    expect([100, 200, 300].map((at) => domain.view.getInt32(at, true))).toEqual([11, 22, 0]);
  });

  it('are bounded: the oldest lands when too many are on their way', () => {
    const { domain } = makeRig(3, { maxPendingBytes: 4096 });
    for (let i = 0; i < 20; i++) domain.write(2000 * i, bytesOf(frame(1000, i)), 0, 1000);
    expect(domain.pendingChunks).toBeGreaterThan(0);
    expect(domain.u8[0]).toBe(0);
    expect(domain.u8[1]).toBe(7);
    expect(domain.pendingBytes).toBeLessThanOrEqual(4096);
  });

  it('of a host that crashed never land', async () => {
    const { scheduler, domain, crash } = makeRig(5);
    domain.write(0, bytesOf(frame(500, 1)), 0, 500);
    crash();
    await scheduler.run(() => false);
    expect(domain.u8.every((byte) => byte === 0)).toBe(true);
  });

  it('land at the same moments for the same seed', async () => {
    const run = async (seed: number): Promise<string> => {
      const { scheduler, domain } = makeRig(seed);
      for (let i = 0; i < 10; i++) domain.write(1500 * i, bytesOf(frame(1400, i)), 0, 1400);
      await scheduler.run(() => false);
      return scheduler.log.hash;
    };
    expect(await run(1)).toBe(await run(1));
    expect(await run(1)).not.toBe(await run(2));
  });
});
