import { describe, expect, it } from 'vitest';
import { FrameReader } from '../../../src/hardware/wire/frames.js';
import type { FrameGeneratorOptions } from '../../../src/hardware/wire/generator.js';
import { FrameGenerator } from '../../../src/hardware/wire/generator.js';
import { FrameSinkStats } from '../../../src/hardware/wire/sink.js';
import { payloadIsGood, payloadSeq } from '../../../src/hardware/wire/test-payload.js';
import { drain } from './frames-of.js';
import { manualClock } from './manual-clock.js';

function build(options: Partial<FrameGeneratorOptions>) {
  const clock = manualClock();
  const generator = new FrameGenerator({
    clock,
    sourceMac: '52:54:00:00:00:01',
    targetMac: '52:54:00:00:00:02',
    sourceIp: '10.0.0.1',
    targetIp: '10.0.0.2',
    frameBytes: 64,
    ...options,
  });
  return { clock, generator };
}

describe('frame generator', () => {
  it.each([64, 65, 128, 1500, 1518, 9000])('makes whole frames of %i bytes with their CRC', (frameBytes) => {
    const { clock, generator } = build({ frameBytes, flows: 3, firstSourcePort: 700 });
    const sink = new FrameSinkStats(clock);
    const reader = new FrameReader();
    const frames = drain(generator, 30);
    expect(frames).toHaveLength(30);
    for (const [index, frame] of frames.entries()) {
      expect(frame).toHaveLength(frameBytes - 4);
      expect(reader.parse(frame, 0, frame.length)).toBe(true);
      expect(reader).toMatchObject({ sourcePort: 700 + (index % 3), targetPort: 9, targetIp: 0x0a000002 });
      expect(payloadSeq(frame, reader.payloadOffset)).toBe(Math.floor(index / 3));
      expect(payloadIsGood(frame, reader.payloadOffset, reader.payloadBytes)).toBe(true);
      sink.accept(frame, 0, frame.length);
    }
    expect(sink.report()).toMatchObject({ frames: 30, corrupt: 0, lost: 0, flows: 3, foreign: 0 });
  });

  it('keeps its rate, and what the holder was too late for has passed', () => {
    const { clock, generator } = build({ rateFps: 1e6 });
    expect(drain(generator)).toHaveLength(1);
    clock.advanceMs(0.1);
    expect(drain(generator, 1000)).toHaveLength(100);
    expect(generator.nextDueNs()).toBeCloseTo(clock.nowNs() + 1000, 0);
    clock.advanceMs(50);
    const late = drain(generator, 100_000).length;
    expect(late + generator.skipped).toBe(50_000);
    expect(late).toBeLessThan(2100);
    generator.setRate(1000);
    clock.advanceMs(1.5);
    expect(drain(generator)).toHaveLength(2);
  });

  it('offers a refused frame again, unchanged, and stops at its number', () => {
    const { generator } = build({ maxFrames: 5 });
    let refused: Uint8Array | null = null;
    generator.receive((bytes, offset, length) => {
      refused = bytes.slice(offset, offset + length);
      return false;
    }, 10);
    expect(generator.sentFrames).toBe(0);
    const frames = drain(generator, 10);
    expect(frames[0]).toEqual(refused);
    expect(frames).toHaveLength(5);
    expect(generator.nextDueNs()).toBe(Number.POSITIVE_INFINITY);
  });

  it('does nothing while stopped', () => {
    const { generator } = build({});
    generator.stop();
    expect(drain(generator, 10)).toHaveLength(0);
    generator.start();
    expect(drain(generator, 10)).toHaveLength(10);
  });

  it('refuses sizes that no wire carries', () => {
    expect(() => build({ frameBytes: 63 })).toThrow(/from 64 to/);
    expect(() => build({ frameBytes: 20_000 })).toThrow(/from 64 to/);
  });

  it('hands what the holder transmits to its sink', () => {
    const clock = manualClock();
    const sink = new FrameSinkStats(clock);
    const { generator } = build({ onTransmit: sink.accept });
    const [frame] = drain(generator, 1);
    generator.transmit(frame!, 0, frame!.length);
    expect(sink.report()).toMatchObject({ frames: 1, corrupt: 0 });
  });
});

describe('frame sink', () => {
  it('tells loss, duplicates, reordering, corruption, silence and delay', () => {
    const { clock, generator } = build({});
    const sink = new FrameSinkStats(clock);
    const frames = drain(generator, 10);
    const give = (index: number): boolean => sink.accept(frames[index]!, 0, frames[index]!.length);
    give(0);
    clock.advanceMs(2);
    give(1);
    give(1);
    give(4);
    give(3);
    clock.advanceMs(7);
    frames[5]![50]! ^= 1;
    give(5);
    give(9);
    sink.accept(new Uint8Array(60), 0, 60);
    const report = sink.report();
    expect(report).toMatchObject({ frames: 8, foreign: 1, corrupt: 1, lost: 5, duplicates: 1, reordered: 1 });
    expect(report.longestGapMs).toBeCloseTo(7, 6);
    expect(report.latency.maxUs).toBeCloseTo(9000, -1);
  });
});
