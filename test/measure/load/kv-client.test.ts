import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../src/hardware/clock.js';
import type { KvClientOptions } from '../../../src/measure/load/kv-client.js';
import { KvClient } from '../../../src/measure/load/kv-client.js';
import { dataChecksum, KvReplyReader, KvRequestWriter } from '../../../src/measure/load/kv-protocol.js';
import { fakeStore } from './fake-store.js';
import { GUEST_IP, twoStations } from './two-stations.js';

function build(options: Partial<KvClientOptions> = {}) {
  const stations = twoStations();
  const store = fakeStore(stations.guest, stations.load.ip);
  const client = new KvClient({
    peer: stations.load,
    random: seededRandom(7),
    targetIp: GUEST_IP,
    keys: 300,
    maxValueBytes: 300,
    window: 8,
    rateHz: 20_000,
    deleteShare: 0.1,
    ...options,
  });
  return { stations, store, client };
}

const CLEAN = {
  corrupt: 0,
  checksumErrors: 0,
  serverErrors: 0,
  malformed: 0,
  lost: 0,
  duplicates: 0,
  reordered: 0,
};

describe('store client', () => {
  it('fills, mixes, and reads everything back against its model', () => {
    const { stations, store, client } = build();
    const phases: string[] = [];
    client.onPhase = (phase) => phases.push(phase);
    client.start();
    stations.run(40);
    expect(client.phase).toBe('mixed');
    expect(store.values.size).toBeGreaterThan(200);
    stations.run(200);
    client.verifyAll();
    stations.run(100);
    expect(phases).toEqual(['fill', 'mixed', 'verify', 'idle']);
    const report = client.report();
    expect(report).toMatchObject({ ...CLEAN, retransmits: 0, outstanding: 0 });
    expect(report.presentKeys).toBe(store.values.size);
    expect(report.storedBytes).toBe([...store.values.values()].reduce((sum, v) => sum + v.data.length, 0));
    expect(report.hits).toBeGreaterThan(1000);
    expect(report.misses).toBeGreaterThan(10);
  });

  it('repeats what the wire lost, and stays right whatever is lost or doubled', () => {
    const { stations, client } = build({ timeoutMs: 20 });
    const random = seededRandom(3);
    client.start();
    stations.run(50);
    stations.fate = () => {
      const dice = random.nextU32() % 100;
      return dice < 10 ? 'drop' : dice < 13 ? 'double' : 'pass';
    };
    stations.run(3000);
    stations.fate = () => 'pass';
    stations.run(1500);
    client.verifyAll();
    stations.run(200);
    const report = client.report();
    expect(report).toMatchObject({ corrupt: 0, malformed: 0, lost: 0, phase: 'idle' });
    expect(report.retransmits).toBeGreaterThan(100);
    expect(report.duplicates).toBeGreaterThan(10);
    expect(report.lateReplies).toBeGreaterThan(0);
  });

  it('is not fooled by an old change that arrives after its repetition was answered', () => {
    const { stations, client } = build({ keys: 10, window: 4, timeoutMs: 20, setShare: 0.5 });
    const random = seededRandom(5);
    client.start();
    stations.run(20);
    stations.fate = (towardsGuest) => (towardsGuest && random.nextU32() % 20 === 0 ? 'late' : 'pass');
    stations.run(4000);
    const report = client.report();
    expect(report.corrupt).toBe(0);
    expect(report.lateReplies).toBeGreaterThan(20);
  });

  it('rides out a silence and reports it as the longest gap', () => {
    const { stations, client } = build();
    client.start();
    stations.run(100);
    stations.fate = () => 'drop';
    stations.run(250);
    stations.fate = () => 'pass';
    stations.run(300);
    const report = client.report();
    expect(report).toMatchObject({ corrupt: 0, lost: 0 });
    expect(report.longestGapMs).toBeGreaterThan(249);
    expect(report.longestGapMs).toBeLessThan(360);
  });

  it('sees every value that changed, vanished or went back in time', () => {
    for (const harm of ['flip', 'vanish', 'stale'] as const) {
      const { stations, store, client } = build({ setShare: 0, deleteShare: 0 });
      client.start();
      stations.run(40);
      const victim = [...store.values.keys()][42]!;
      const value = store.values.get(victim)!;
      if (harm === 'flip') value.data[value.data.length - 1]! ^= 1;
      if (harm === 'vanish') store.values.delete(victim);
      if (harm === 'stale') store.values.set(victim, [...store.values.values()][41]!);
      client.verifyAll();
      stations.run(100);
      expect(client.report().corrupt, harm).toBeGreaterThan(0);
    }
  });

  it('counts errors of the guest and replies that are none', () => {
    const { stations, store, client } = build();
    client.start();
    stations.run(40);
    const turn = (text: string): void => {
      store.tamper = (reply) => Buffer.concat([reply.subarray(0, 8), Buffer.from(text)]);
      stations.run(5);
    };
    turn('SERVER_ERROR checksum\r\n');
    turn('SERVER_ERROR out of memory storing object\r\n');
    turn('HELLO\r\n');
    turn('VALUE key:00000001 1 400000\r\nx\r\nEND\r\n');
    const report = client.report();
    expect(report.checksumErrors).toBeGreaterThan(10);
    expect(report.serverErrors).toBeGreaterThan(10);
    expect(report.malformed).toBeGreaterThan(20);
    expect(report.corrupt).toBe(0);
  });

  it('gives up in the end', () => {
    const { stations, client } = build({ timeoutMs: 5, maxAttempts: 3 });
    client.start();
    stations.run(40);
    stations.fate = () => 'drop';
    stations.run(100);
    expect(client.report().lost).toBeGreaterThan(7);
  });
});

describe('store protocol', () => {
  it('writes requests as memcached reads them', () => {
    const bytes = new Uint8Array(200);
    const writer = new KvRequestWriter(bytes, 5);
    const data = Uint8Array.from([1, 2, 3, 4, 5]);
    const text = (length: number): string => Buffer.from(bytes.subarray(5, 5 + length)).toString('latin1');
    // Words 0x04030201 and 5: s1 = 0x04030206, s2 = 0x08060407; the halves of s2 swapped are 0x04070806.
    expect(dataChecksum(data, 0, 5)).toBe((0x04030206 ^ 0x04070806) >>> 0);
    const setLength = writer.set(0x1234, 42, data, 0, 5);
    const flags = dataChecksum(data, 0, 5);
    expect(text(setLength)).toBe(
      `\x12\x34\0\0\0\x01\0\0set key:00000042 ${flags} 0 5\r\n\x01\x02\x03\x04\x05\r\n`,
    );
    expect(text(writer.get(1, 7))).toBe('\0\x01\0\0\0\x01\0\0get key:00000007\r\n');
    expect(text(writer.delete(1, 99_999_999))).toBe('\0\x01\0\0\0\x01\0\0delete key:99999999\r\n');
  });

  it.each([
    ['END\r\n', 'miss'],
    ['STORED\r\n', 'stored'],
    ['DELETED\r\n', 'deleted'],
    ['NOT_FOUND\r\n', 'not-found'],
    ['SERVER_ERROR checksum\r\n', 'checksum-error'],
    ['SERVER_ERROR out of memory\r\n', 'server-error'],
    ['VALUE key:00000009 4294967295 3\r\nabc\r\nEND\r\n', 'value'],
    ['VALUE key:00000009 1 4\r\nabc\r\nEND\r\n', 'malformed'],
    ['VALUE key:0000009 1 3\r\nabc\r\nEND\r\n', 'malformed'],
    ['VALUE key:00000009 x 3\r\nabc\r\nEND\r\n', 'malformed'],
    ['VALUE key:00000009 1 99999999999\r\nabc\r\nEND\r\n', 'malformed'],
    ['VALUE ', 'malformed'],
    ['STOR', 'malformed'],
    ['', 'malformed'],
  ])('reads %j as %s', (body, kind) => {
    const bytes = Buffer.concat([Buffer.from([0, 9, 0, 0, 0, 1, 0, 0]), Buffer.from(body)]);
    const reader = new KvReplyReader();
    expect(reader.parse(bytes, 0, bytes.length)).toBe(true);
    expect(reader).toMatchObject({ id: 9, kind });
    expect(reader.parse(bytes, 0, 7)).toBe(false);
  });
});
