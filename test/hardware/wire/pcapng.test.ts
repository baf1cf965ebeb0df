import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createCable } from '../../../src/hardware/wire/cable.js';
import { PcapngTap } from '../../../src/hardware/wire/pcapng.js';
import { drain, frameOf, send } from './frames-of.js';
import { manualClock } from './manual-clock.js';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'srvm-pcap-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

interface Packet {
  timestampNs: bigint;
  bytes: Uint8Array;
  flags: number;
}

/** Reads the file as its specification says; throws where it does not fit. */
function readPcapng(file: Buffer): Packet[] {
  const packets: Packet[] = [];
  const types: number[] = [];
  for (let at = 0; at < file.length; ) {
    const type = file.readUInt32LE(at);
    const total = file.readUInt32LE(at + 4);
    if (total % 4 !== 0 || file.readUInt32LE(at + total - 4) !== total) throw new Error(`bad block at ${at}`);
    types.push(type);
    if (type === 6) {
      const length = file.readUInt32LE(at + 20);
      const timestampNs = (BigInt(file.readUInt32LE(at + 12)) << 32n) | BigInt(file.readUInt32LE(at + 16));
      const options = at + 28 + ((length + 3) & ~3);
      packets.push({
        timestampNs,
        bytes: new Uint8Array(file.subarray(at + 28, at + 28 + length)),
        flags: file.readUInt32LE(options + 4),
      });
    }
    at += total;
  }
  expect(types.slice(0, 2)).toEqual([0x0a0d0d0a, 1]);
  return packets;
}

async function record(path: string): Promise<void> {
  const clock = manualClock();
  const [left, right] = createCable();
  const tap = new PcapngTap(left, { path, clock, name: 'uplink', epochMs: 1_700_000_000_123 });
  send(tap, frameOf(1, 2, 61, 1));
  drain(right);
  clock.advanceMs(5000);
  send(right, frameOf(2, 1, 1514, 2));
  expect(tap.receive(() => false, 1)).toBe(0);
  clock.advanceMs(0.000001 * 7);
  expect(drain(tap)).toEqual([frameOf(2, 1, 1514, 2)]);
  for (let i = 0; i < 300; i++) {
    send(tap, frameOf(1, 2, 1000, i & 0xff));
    drain(right);
  }
  await tap.close();
}

describe('pcapng tap', () => {
  it('records what passed, both ways, in nanoseconds, and nothing that was refused', async () => {
    const path = join(folder, 'a.pcapng');
    await record(path);
    const packets = readPcapng(readFileSync(path));
    expect(packets).toHaveLength(302);
    expect(packets[0]).toEqual({
      timestampNs: 1_700_000_000_123_000_000n,
      bytes: frameOf(1, 2, 61, 1),
      flags: 2,
    });
    expect(packets[1]).toEqual({
      timestampNs: 1_700_000_005_123_000_007n,
      bytes: frameOf(2, 1, 1514, 2),
      flags: 1,
    });
  });

  const hasTshark = spawnSync('tshark', ['-v']).status === 0;
  it.skipIf(!hasTshark)('is read by tshark (skipped where that is not installed)', async () => {
    const path = join(folder, 'b.pcapng');
    await record(path);
    const text = execFileSync(
      'tshark',
      ['-r', path, '-T', 'fields', '-e', 'frame.time_epoch', '-e', 'frame.len'],
      {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      },
    );
    const lines = text.trim().split('\n');
    expect(lines).toHaveLength(302);
    expect(lines[1]).toBe('1700000005.123000007\t1514');
  });

  it('passes link, wake and statistics of the wire it wraps', async () => {
    const [left, right] = createCable();
    const tap = new PcapngTap(left, { path: join(folder, 'c.pcapng'), clock: manualClock() });
    let woken = 0;
    tap.onWake = () => woken++;
    send(right, frameOf(1, 2));
    expect([woken, tap.linkUp]).toEqual([1, true]);
    drain(tap);
    expect(tap.stats.rxFrames).toBe(1);
    await right.close();
    expect(tap.linkUp).toBe(false);
    await tap.close();
  });
});
