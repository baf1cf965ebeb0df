import { afterEach, describe, expect, it } from 'vitest';
import {
  ARP_REQUEST,
  FrameReader,
  ipNumber,
  macBytes,
  macText,
  writeArp,
} from '../../../src/hardware/wire/frames.js';
import { GeneratorControl, openGeneratorWire } from '../../../src/hardware/wire/generator-wire.js';
import { payloadSeq } from '../../../src/hardware/wire/test-payload.js';
import type { Wire } from '../../../src/hardware/wire/wire.js';
import { drain } from './frames-of.js';
import { manualClock } from './manual-clock.js';

const open: Wire[] = [];
afterEach(async () => {
  for (const wire of open.splice(0)) await wire.close();
});

function build(options: Partial<ConstructorParameters<typeof GeneratorControl>[0]> = {}) {
  const clock = manualClock();
  const control = new GeneratorControl({
    sourceMac: '52:54:00:00:00:01',
    targetMac: '52:54:00:00:00:02',
    sourceIp: '10.0.0.1',
    targetIp: '10.0.0.2',
    frameBytes: 128,
    ...options,
  });
  const wire = openGeneratorWire(structuredClone(control.data), clock);
  open.push(wire);
  const give = (frame: Uint8Array): void => {
    wire.transmit(frame, 0, frame.length);
    clock.advanceMs(10);
    wire.flush();
  };
  return { clock, control, wire, give };
}

describe('generator wire', () => {
  it('is silent until a rate is set, keeps it, and stops at zero', () => {
    const { clock, control, wire } = build();
    expect(drain(wire, 100)).toHaveLength(0);
    control.setRate(1e6);
    expect(drain(wire, 100)).toHaveLength(1);
    clock.advanceMs(0.05);
    expect(drain(wire, 100)).toHaveLength(50);
    control.setRate(0);
    clock.advanceMs(1);
    expect(drain(wire, 100)).toHaveLength(0);
    control.setRate(Number.POSITIVE_INFINITY);
    expect(drain(wire, 100)).toHaveLength(100);
    wire.flush();
    expect(control.counters().sent).toBe(151);
  });

  it('sends its flows to the targets in turn, and only the first of them when it is told so', () => {
    const targets = [1, 2, 3].map((n) => ({ mac: `52:54:00:00:01:0${n}`, ip: `10.0.1.${n}` }));
    const { control, wire } = build({ flows: 3, targets });
    const reader = new FrameReader();
    const seen = (count: number): string[] =>
      drain(wire, count).map((frame) => {
        expect(reader.parse(frame, 0, frame.length)).toBe(true);
        const target = targets.findIndex(({ ip }) => ipNumber(ip) === reader.targetIp);
        expect(macText(frame)).toBe(targets[target]!.mac);
        return `${target}:${payloadSeq(frame, reader.payloadOffset)}`;
      });
    control.setRate(Number.POSITIVE_INFINITY);
    expect(seen(5)).toEqual(['0:0', '1:0', '2:0', '0:1', '1:1']);
    // the next flow's frame is refused: when its flow is left out, no number is missing later
    wire.receive(() => false, 1);
    control.setFlows(1);
    expect(seen(2)).toEqual(['0:2', '0:3']);
    control.setFlows(3);
    expect(seen(3)).toEqual(['0:4', '1:2', '2:1']);
  });

  it('judges what comes back and shows it to the other thread', () => {
    const { control, wire, give } = build();
    control.setRate(Number.POSITIVE_INFINITY);
    const frames = drain(wire, 5);
    frames[3]![100]! ^= 1;
    for (const index of [0, 1, 1, 3, 4]) give(frames[index]!);
    give(new Uint8Array(60));
    expect(control.counters()).toMatchObject({
      datagrams: 5,
      corrupt: 1,
      duplicates: 1,
      lost: 2,
      reordered: 0,
      foreign: 1,
    });
    expect(control.counters().longestGapMs).toBeCloseTo(20, 6);
  });

  it('answers ARP for its address, before its own frames and once', () => {
    const { wire, give } = build();
    const question = new Uint8Array(60);
    writeArp(question, 0, {
      operation: ARP_REQUEST,
      senderMac: macBytes('52:54:00:00:00:02'),
      senderIp: ipNumber('10.0.0.2'),
      targetMac: new Uint8Array(6),
      targetIp: ipNumber('10.0.0.1'),
      frameTargetMac: new Uint8Array(6).fill(255),
    });
    give(question);
    expect(wire.receive(() => false, 1)).toBe(0);
    const [reply, ...more] = drain(wire, 10);
    expect(more).toEqual([]);
    const reader = new FrameReader();
    expect(reader.parse(reply!, 0, reply!.length)).toBe(true);
    expect(macText(reply!, 22)).toBe('52:54:00:00:00:01');
    question[41] = 9;
    give(question);
    expect(drain(wire, 10)).toEqual([]);
  });
});
