import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/hardware/clock.js';
import { createHashedBuffer, createPageHelper, type HashedBuffer } from '../../src/migration/page-helper.js';
import { PageReceiver } from '../../src/migration/receiver.js';
import { batchBufferBytes, PageSender } from '../../src/migration/sender.js';
import { FrameDecoder } from '../../src/migration/stream/decoder.js';
import { FrameEncoder } from '../../src/migration/stream/encoder.js';
import { FRAME, FRAME_HEADER_BYTES } from '../../src/migration/stream/frame.js';
import { dmaCoverage, namePages } from '../../src/migration/verify.js';
import { bytesOf, differingPages, sharedMemory } from './fake-vm.js';

const PAGES = 256;
const RAM_BYTES = PAGES * 4096;
const memory = sharedMemory(RAM_BYTES);
const other = sharedMemory(RAM_BYTES);
const shared = (m: WebAssembly.Memory): SharedArrayBuffer => m.buffer as unknown as SharedArrayBuffer;

/** No page can be told in a word. */
function fillUnevenly(of: WebAssembly.Memory): void {
  const bytes = bytesOf(of).fill(1);
  for (let at = 0; at < RAM_BYTES; at += 4096) bytes[at] = 2;
}

describe('the page helper', () => {
  const helper = createPageHelper(memory);

  it('finds the first page with data, wherever its byte is', () => {
    const ram = bytesOf(memory).fill(0);
    fc.assert(
      fc.property(
        fc.nat(RAM_BYTES - 1),
        fc.nat(PAGES - 1),
        fc.integer({ min: 1, max: 255 }),
        (at, from, value) => {
          ram[at] = value;
          const page = at >> 12;
          expect(helper.zeroUntil(from << 12, RAM_BYTES)).toBe(page >= from ? page << 12 : RAM_BYTES);
          expect(helper.zeroUntil(0, page << 12)).toBe(page << 12);
          ram[at] = 0;
        },
      ),
      { numRuns: 300 },
    );
  });

  it('finds where pages of one repeated byte end, and where they begin', () => {
    const ram = bytesOf(memory);
    const byte = fc.nat(255);
    fc.assert(
      fc.property(byte, byte, fc.nat(RAM_BYTES - 1), fc.nat(PAGES - 1), (fill, other, at, from) => {
        ram.fill(fill);
        ram[at] = other;
        const page = other === fill ? -1 : at >> 12;
        expect(helper.filledUntil(from << 12, RAM_BYTES, fill)).toBe(page >= from ? page << 12 : RAM_BYTES);
        expect(helper.filledUntil(from << 12, RAM_BYTES, fill ^ 1)).toBe(from << 12);
        for (let p = 0; p < PAGES; p++) ram[p * 4096 + ((at + p) & 4095)] = fill ^ 1;
        ram.fill(other, page << 12, (page + 1) << 12);
        expect(helper.dataUntil(from << 12, RAM_BYTES)).toBe(page >= from ? page << 12 : RAM_BYTES);
        expect(helper.dataUntil(from << 12, from << 12)).toBe(from << 12);
      }),
      { numRuns: 200 },
    );
  });

  it('hashes so that any changed byte changes it, and equally on private buffers', () => {
    const ram = bytesOf(memory);
    const random = seededRandom(3);
    for (let at = 0; at < 8192; at++) ram[at] = random.nextU32();
    const copy = createHashedBuffer(8192);
    copy.bytes.set(ram.subarray(0, 8192));
    const hash = (of: { hash(a: number, b: number): number; hashHigh(): number }) => [
      of.hash(0, 4096),
      of.hashHigh(),
    ];
    const before = hash(helper);
    expect(hash(copy)).toEqual(before);
    fc.assert(
      fc.property(fc.nat(4095), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        copy.bytes[at]! ^= flip;
        const changed = hash(copy);
        copy.bytes[at]! ^= flip;
        expect(changed).not.toEqual(before);
      }),
      { numRuns: 500 },
    );
  });
});

interface Rig {
  readonly sender: PageSender;
  readonly map: Uint8Array;
  readonly frames: Buffer[];
  nowNs: number;
  freeBuffers: number;
}

function rig(batchPages: number): Rig {
  const frames: Buffer[] = [];
  const map = new Uint8Array(PAGES);
  const state = { nowNs: 0, freeBuffers: 1 };
  const sender = new PageSender({
    memory: shared(memory),
    ramPages: PAGES,
    map,
    helper: createPageHelper(memory),
    encoder: new FrameEncoder(),
    batchPages,
    clock: { nowNs: () => state.nowNs },
    link: {
      take: () => (state.freeBuffers > 0 ? createHashedBuffer(batchBufferBytes(batchPages)) : null),
      put: (buffer: HashedBuffer, bytes) => void frames.push(Buffer.from(buffer.bytes.subarray(0, bytes))),
    },
  });
  return Object.assign(state, { sender, map, frames });
}

/** Puts frames into `other`, fed in pieces. */
function receive(frames: readonly Buffer[], pieceBytes: number): PageReceiver {
  const receiver = new PageReceiver(shared(other), RAM_BYTES);
  const decoder = new FrameDecoder();
  const stream = Buffer.concat(frames);
  for (let at = 0; at < stream.length; ) {
    const bytes = stream.copy(decoder.space(), 0, at, Math.min(at + pieceBytes, stream.length));
    decoder.filled(bytes);
    at += bytes;
    for (let frame = decoder.next(); frame; frame = decoder.next()) {
      expect(frame.type).toBe(FRAME.pages);
      receiver.apply(frame.payload);
    }
  }
  decoder.ended();
  return receiver;
}

describe('pages from sender to receiver', () => {
  it('exactly the marked ones arrive, whatever their pattern, batch size and pieces', () => {
    const round = fc.record({
      marked: fc.array(fc.boolean(), { minLength: PAGES, maxLength: PAGES }),
      filled: fc.array(fc.boolean(), { minLength: PAGES, maxLength: PAGES }),
      batchPages: fc.integer({ min: 1, max: 40 }),
      pieceBytes: fc.integer({ min: 1000, max: 200_000 }),
      knowUnbacked: fc.boolean(),
      /** What is in a page's other bytes; mostly, as a kernel leaves freed memory, pages are full of it. */
      poison: fc.array(fc.constantFrom(null, 0xcc, 0xff, 1), { minLength: PAGES, maxLength: PAGES }),
    });
    fc.assert(
      fc.property(round, ({ marked, filled, batchPages, pieceBytes, knowUnbacked, poison }) => {
        const ram = bytesOf(memory).fill(0);
        bytesOf(other).fill(0);
        for (let page = 0; page < PAGES; page++) {
          if (!filled[page]) continue;
          ram.fill(poison[page] ?? 0, page * 4096, (page + 1) * 4096);
          if (poison[page] === null || page % 8 === 0)
            ram[page * 4096 + ((page * 97) & 4095)] = 1 + (page & 127);
        }
        const r = rig(batchPages);
        for (let page = 0; page < PAGES; page++) r.map[page] = marked[page] ? 1 : 0;
        r.sender.begin(knowUnbacked ? Uint8Array.from(filled, (f) => (f ? 0 : 1)) : null);
        while (!r.sender.done) expect(r.sender.step()).toBeGreaterThan(0);
        const receiver = receive(r.frames, pieceBytes);
        expect(r.map.every((mark) => mark === 0)).toBe(true);
        const expected = [...Array(PAGES).keys()].filter((page) => filled[page] && !marked[page]);
        expect(differingPages(memory, other)).toEqual(expected);
        expect(receiver.dataPages).toBe(marked.filter((m, page) => m && filled[page]).length);
        expect(receiver.zeroPages).toBe(marked.filter((m, page) => m && !filled[page]).length);
      }),
      { numRuns: 60 },
    );
  });

  it('a page that became zero is zero at the other end too', () => {
    const ram = bytesOf(memory).fill(9, 0, 8192);
    bytesOf(other).fill(0);
    const r = rig(8);
    const receiver = new PageReceiver(shared(other), RAM_BYTES);
    const decoder = new FrameDecoder();
    for (let round = 0; round < 2; round++) {
      r.map.fill(1);
      r.sender.begin();
      while (!r.sender.done) r.sender.step();
      for (const frame of r.frames.splice(0)) {
        frame.copy(decoder.space());
        decoder.filled(frame.length);
        receiver.apply(decoder.next()!.payload);
      }
      expect(differingPages(memory, other)).toEqual([]);
      ram.fill(0, 0, 4096);
    }
  });

  it('a page of one repeated byte is a word on the wire, and is that byte everywhere until it is another', () => {
    const ram = bytesOf(memory).fill(0xcc);
    bytesOf(other).fill(0);
    ram[5 * 4096 + 4095] = 0xcd;
    const r = rig(8);
    const bytes: number[] = [];
    const receiver = new PageReceiver(shared(other), RAM_BYTES);
    const decoder = new FrameDecoder();
    for (const next of [0x00, 0xff, null]) {
      r.map.fill(1);
      r.sender.begin();
      while (!r.sender.done) r.sender.step();
      bytes.push(r.frames.reduce((sum, frame) => sum + frame.length, 0));
      for (const frame of r.frames.splice(0)) {
        frame.copy(decoder.space());
        decoder.filled(frame.length);
        receiver.apply(decoder.next()!.payload);
      }
      expect(differingPages(memory, other)).toEqual([]);
      if (next !== null) ram.fill(next);
    }
    expect(bytes[0]).toBe(4096 + 3 * 8 + bytes[1]! - 8);
    expect(bytes[2]).toBe(bytes[1]);
    expect([receiver.dataPages, receiver.zeroPages]).toEqual([2 * PAGES, PAGES]);
    expect([r.sender.dataPages, r.sender.zeroPages]).toEqual([2 * PAGES, PAGES]);
  });

  it('waits for a buffer, and goes on where it stood', () => {
    fillUnevenly(memory);
    const r = rig(16);
    r.map.fill(1);
    r.sender.begin();
    r.freeBuffers = 0;
    expect(r.sender.step()).toBe(0);
    expect(r.sender.done).toBe(false);
    r.freeBuffers = 1;
    while (!r.sender.done) expect(r.sender.step()).toBeGreaterThan(0);
    expect(r.sender.dataPages).toBe(PAGES);
  });

  it('keeps to the bandwidth cap, on any clock', () => {
    fillUnevenly(memory);
    const r = rig(1);
    const bytesPerSecond = 4_000_000;
    r.sender.setBandwidth(bytesPerSecond);
    r.map.fill(1);
    r.sender.begin();
    while (!r.sender.done) {
      if (r.sender.step() === 0) {
        expect(r.sender.nextDueNs()).toBeGreaterThan(r.nowNs);
        r.nowNs = r.sender.nextDueNs();
      }
    }
    const seconds = r.nowNs / 1e9;
    expect(r.sender.bytes / seconds).toBeLessThan(bytesPerSecond * 1.1);
    expect(r.sender.bytes / seconds).toBeGreaterThan(bytesPerSecond * 0.9);
  });
});

describe('frames', () => {
  it('come out whole and in order, however they are cut', () => {
    const records = fc.array(fc.uint8Array({ maxLength: 500 }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(records, fc.integer({ min: 1, max: 300 }), (payloads, pieceBytes) => {
        const encoder = new FrameEncoder();
        const stream = Buffer.concat(payloads.map((payload) => encoder.frame(FRAME.round, payload)));
        const decoder = new FrameDecoder();
        const seen: number[][] = [];
        for (let at = 0; at < stream.length; at += pieceBytes) {
          decoder.filled(stream.copy(decoder.space(), 0, at, Math.min(at + pieceBytes, stream.length)));
          for (let frame = decoder.next(); frame; frame = decoder.next()) seen.push([...frame.payload]);
        }
        expect(seen).toEqual(payloads.map((payload) => [...payload]));
      }),
      { numRuns: 30 },
    );
  });

  it('after an error nothing more is taken', () => {
    const decoder = new FrameDecoder();
    const encoder = new FrameEncoder();
    const bad = encoder.frame(FRAME.round, Uint8Array.of(1));
    bad[FRAME_HEADER_BYTES]! ^= 1;
    decoder.filled(Buffer.concat([bad, encoder.frame(FRAME.round, Uint8Array.of(2))]).copy(decoder.space()));
    expect(() => decoder.next()).toThrow(/checksum/);
    expect(() => decoder.next()).toThrow(/checksum/);
  });

  it('of another protocol version are named as such', () => {
    const decoder = new FrameDecoder();
    decoder.filled(new FrameEncoder(3).frame(FRAME.hello, Uint8Array.of(1)).copy(decoder.space()));
    expect(() => decoder.next()).toThrow(/protocol version 3; this end speaks 2/);
  });
});

describe('DMA coverage', () => {
  it('tells missed from over-marked, and forgives what happened while tracking started', () => {
    const written = Uint8Array.of(1, 1, 0, 0, 0);
    const marked = Uint8Array.of(1, 0, 1, 1, 0);
    const around = Uint8Array.of(0, 0, 0, 1, 1);
    const cpu = Uint8Array.of(0, 1, 0, 0, 0);
    expect(dmaCoverage(written, marked, around, cpu)).toEqual({
      pagesWritten: 2,
      pagesMarked: 3,
      pagesMissed: 1,
      pagesInNoLog: 0,
      pagesOverMarked: 1,
      missed: [1],
      overMarked: [2],
    });
    expect(dmaCoverage(written, marked, around, new Uint8Array(5)).pagesInNoLog).toBe(1);
    expect(namePages([1, 2], 2)).toBe('pages at 0x1000, 0x2000');
  });
});
