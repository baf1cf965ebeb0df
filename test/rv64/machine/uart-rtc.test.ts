/** The serial port and the wall clock. */
import { describe, expect, it } from 'vitest';
import { Rtc } from '../../../src/rv64/machine/rtc.js';
import { Uart } from '../../../src/rv64/machine/uart.js';

function uart() {
  const sent: number[] = [];
  const lines: boolean[] = [];
  const device = new Uart({ send: (byte) => sent.push(byte), setLine: (high) => lines.push(high) });
  return {
    device,
    sent,
    line: () => lines.at(-1) ?? false,
    write: (at: number, value: number) => device.write(at, 1, value),
  };
}

describe('the serial port', () => {
  it('sends at once and says so', () => {
    const { device, sent, line, write } = uart();
    write(1, 2);
    expect(device.read(2) & 0x0f).toBe(2);
    expect(line()).toBe(false);
    write(0, 65);
    expect(sent).toEqual([65]);
    expect(line()).toBe(true);
    expect(device.read(5) & 0x60).toBe(0x60);
  });

  it('interrupts for what came in until it is read', () => {
    const { device, line, write } = uart();
    write(1, 1);
    expect(device.receive(Buffer.from('ab'))).toBe(2);
    expect(line()).toBe(true);
    expect(device.read(2) & 0x0f).toBe(4);
    expect([device.read(0), device.read(5) & 1, device.read(0)]).toEqual([97, 1, 98]);
    expect(line()).toBe(false);
    expect(device.read(5) & 1).toBe(0);
  });

  it('refuses what has no room', () => {
    const { device } = uart();
    expect(device.receive(new Uint8Array(5000))).toBe(4096);
    expect(device.receive(new Uint8Array(1))).toBe(0);
  });

  it('has a divisor behind the latch bit, and loopback', () => {
    const { device, sent, write } = uart();
    write(3, 0x83);
    write(0, 0x34);
    write(1, 0x12);
    expect([device.read(0), device.read(1)]).toEqual([0x34, 0x12]);
    write(3, 0x03);
    write(4, 0x10);
    write(0, 99);
    expect(sent).toEqual([]);
    expect(device.read(0)).toBe(99);
  });

  it('goes on elsewhere', () => {
    const { device, write } = uart();
    write(1, 1);
    device.receive(Buffer.from('xy'));
    const other = uart();
    other.device.restore(structuredClone(device.save()));
    expect(other.line()).toBe(true);
    expect(other.device.read(0)).toBe(120);
  });
});

describe('the wall clock', () => {
  const clock = () => {
    const now = { ns: (5n << 32n) | 7n };
    const lines: boolean[] = [];
    const device = new Rtc({ wallNs: () => now.ns, setLine: (high) => lines.push(high) });
    return {
      now,
      device,
      line: () => lines.at(-1) ?? false,
      write: (at: number, value: number) => device.write(at, 4, value),
    };
  };

  it('reads as one number though it is read in two', () => {
    const { device, now } = clock();
    expect(device.read(0)).toBe(7);
    now.ns = 6n << 32n;
    expect(device.read(4)).toBe(5);
  });

  it('can be set, and stays set elsewhere', () => {
    const { device, write } = clock();
    write(4, 9);
    write(0, 1);
    expect([device.read(0), device.read(4)]).toEqual([1, 9]);
    const other = clock();
    other.device.restore(structuredClone(device.save()));
    expect([other.device.read(0), other.device.read(4)]).toEqual([1, 9]);
  });

  it('rings when its time has come', () => {
    const { device, now, line, write } = clock();
    write(0x10, 1);
    write(0x0c, 5);
    write(0x08, 100);
    expect(device.read(0x18)).toBe(1);
    device.poll();
    expect(line()).toBe(false);
    now.ns = (5n << 32n) | 100n;
    device.poll();
    expect(line()).toBe(true);
    write(0x1c, 0);
    expect(line()).toBe(false);
  });
});
