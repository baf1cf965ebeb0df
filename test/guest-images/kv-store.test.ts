/** kv-store: commands against a model, checksums, a full store, nonsense. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { askCounters, COUNTER, pattern, type Station, withGuest } from './station.js';

const PORT = 11211;
const OPTIONS = { commandLine: 'ip=10.0.0.2 store=4M' };
let nextId = 1;

/** The contract's sums over whole words, the last one zero-padded. */
function checkOf(data: Uint8Array): number {
  const padded = new Uint8Array((data.length + 3) & ~3);
  padded.set(data);
  const view = new DataView(padded.buffer);
  let s1 = 0;
  let s2 = 0;
  for (let at = 0; at < padded.length; at += 4) {
    s1 = (s1 + view.getUint32(at, true)) | 0;
    s2 = (s2 + s1) | 0;
  }
  return (s1 ^ ((s2 << 16) | (s2 >>> 16))) >>> 0;
}

function* ask({ machine, host }: Station, request: Uint8Array): Generator<() => boolean, Buffer, void> {
  const id = nextId++ & 0xffff;
  const seen = host.datagrams.length;
  host.sendUdp(PORT, Buffer.concat([Uint8Array.of(id >> 8, id & 255, 0, 0, 0, 1, 0, 0), request]), 30_000);
  yield* machine.until(
    () => {
      host.receive();
      return host.datagrams.length > seen;
    },
    `an answer to ${Buffer.from(request).toString('latin1')}`,
    100,
  );
  const reply = Buffer.from(host.datagrams.at(-1)!.payload);
  expect([...reply.subarray(0, 8)]).toEqual([id >> 8, id & 255, 0, 0, 0, 1, 0, 0]);
  return reply.subarray(8);
}

const setRequest = (key: string, data: Uint8Array, check = checkOf(data)): Buffer =>
  Buffer.concat([Buffer.from(`set ${key} ${check} 0 ${data.length}\r\n`), data, Buffer.from('\r\n')]);
const command = (text: string): Buffer => Buffer.from(`${text}\r\n`);
const valueReply = (key: string, data: Uint8Array): Buffer =>
  Buffer.concat([
    Buffer.from(`VALUE ${key} ${checkOf(data)} ${data.length}\r\n`),
    data,
    Buffer.from('\r\nEND\r\n'),
  ]);

describe('kv-store', () => {
  it('does what a map does', () => {
    const key = fc.constantFrom('a', 'bb', 'key:3', 'k'.repeat(250), 'x1', 'x2', 'x3');
    const operation = fc.oneof(
      fc.record({ kind: fc.constant('set' as const), key, bytes: fc.integer({ min: 0, max: 1100 }) }),
      fc.record({ kind: fc.constant('get' as const), key, bytes: fc.constant(0) }),
      fc.record({ kind: fc.constant('delete' as const), key, bytes: fc.constant(0) }),
    );
    withGuest('kv-store', OPTIONS, function* (station) {
      const model = new Map<string, Uint8Array>();
      for (const [i, { kind, key, bytes }] of fc.sample(operation, 600).entries()) {
        if (kind === 'set') {
          const data = pattern(bytes, i);
          expect((yield* ask(station, setRequest(key, data))).toString()).toBe('STORED\r\n');
          model.set(key, data);
        } else if (kind === 'get') {
          const data = model.get(key);
          const expected = data === undefined ? Buffer.from('END\r\n') : valueReply(key, data);
          expect(Buffer.compare(yield* ask(station, command(`get ${key}`)), expected)).toBe(0);
        } else {
          const reply = (yield* ask(station, command(`delete ${key}`))).toString();
          expect(reply).toBe(model.delete(key) ? 'DELETED\r\n' : 'NOT_FOUND\r\n');
        }
      }
      const counters: number[] = [];
      yield* askCounters(station, counters);
      expect(counters[10]).toBe(model.size);
      expect(counters[11]).toBe([...model.values()].reduce((sum, data) => sum + data.length, 0));
      expect(counters[COUNTER.badChecksum]).toBe(0);
    });
  });

  it('refuses a value whose checksum is wrong, and one that went bad in memory', () => {
    withGuest('kv-store', OPTIONS, function* (station) {
      const data = pattern(333, 5);
      const refused = yield* ask(station, setRequest('k', data, checkOf(data) ^ 1));
      expect(refused.toString()).toBe('SERVER_ERROR checksum\r\n');
      expect((yield* ask(station, command('get k'))).toString()).toBe('END\r\n');
      yield* ask(station, setRequest('k', data));
      const memory = Buffer.from(station.machine.memory.buffer);
      const copies: number[] = [];
      for (let at = memory.indexOf(data); at >= 0; at = memory.indexOf(data, at + 1)) copies.push(at);
      // every copy: the one in the store is among them
      for (const at of copies) memory[at + 100]! ^= 0x10;
      expect((yield* ask(station, command('get k'))).toString()).toBe('SERVER_ERROR checksum\r\n');
      const counters: number[] = [];
      yield* askCounters(station, counters);
      expect(counters[COUNTER.badChecksum]).toBe(2);
    });
  });

  it('says when it is full, and has room again after a delete', () => {
    withGuest('kv-store', OPTIONS, function* (station) {
      const data = pattern(1200, 1);
      let stored = 0;
      for (; stored < 4000; stored++) {
        const reply = (yield* ask(station, setRequest(`key${stored}`, data))).toString();
        if (reply !== 'STORED\r\n') {
          expect(reply).toBe('SERVER_ERROR out of memory storing object\r\n');
          break;
        }
      }
      expect(stored).toBeGreaterThan(2000);
      expect(stored).toBeLessThan(3500);
      yield* ask(station, command('delete key7'));
      expect((yield* ask(station, setRequest('new', data))).toString()).toBe('STORED\r\n');
      for (const key of ['key0', 'key1999', 'new']) {
        expect(Buffer.compare(yield* ask(station, command(`get ${key}`)), valueReply(key, data))).toBe(0);
      }
    });
  });

  it('fills itself and scrubs what it holds', () => {
    const options = { commandLine: 'ip=10.0.0.2 store=16M fill=8M scrub=100000', ramBytes: 64 << 20 };
    withGuest('kv-store', options, function* (station) {
      const counters: number[] = [];
      yield* station.machine.sleepMs(300);
      yield* askCounters(station, counters);
      expect(counters[10]).toBe(Math.floor((8 << 20) / 1000));
      expect(counters[13]).toBeGreaterThan(20_000);
      expect(counters[COUNTER.badChecksum]).toBe(0);
      const reply = yield* ask(station, command('get fill:00000007'));
      expect(reply.subarray(0, 24).toString()).toContain('VALUE fill:00000007 ');
    });
  });

  it('answers nonsense with an error and goes on', () => {
    withGuest('kv-store', OPTIONS, function* (station) {
      const nonsense = [
        'gget x',
        'set a',
        'set a b c d',
        'set a 1 0 5000',
        `set ${'k'.repeat(251)} 0 0 0`,
        'delete',
        'xxxx',
      ];
      for (const text of nonsense) {
        expect((yield* ask(station, command(text))).toString()).toMatch(
          /^(CLIENT_ERROR .*|ERROR|NOT_FOUND)\r\n$/,
        );
      }
      expect((yield* ask(station, setRequest('ok', pattern(9, 9)))).toString()).toBe('STORED\r\n');
    });
  });
});
