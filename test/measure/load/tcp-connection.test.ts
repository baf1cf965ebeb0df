/** A TCP connection against a scripted other end, segment by segment. What a real stack makes of it, the Linux scenarios show. */
import { describe, expect, it } from 'vitest';
import {
  internetChecksum,
  macBytes,
  readU16,
  readU32,
  writeU16,
  writeU32,
} from '../../../src/hardware/wire/frames.js';
import { TcpConnection } from '../../../src/measure/load/tcp-connection.js';

const FLOW = {
  sourceMac: macBytes('52:54:00:00:00:fe'),
  targetMac: macBytes('52:54:00:00:00:02'),
  sourceIp: 0x0a00_0001,
  targetIp: 0x0a00_0002,
  sourcePort: 40_000,
  targetPort: 5201,
};
const TCP_AT = 34;
const HEADER_BYTES = 20;
const FLAG = { fin: 1, syn: 2, rst: 4, ack: 16 } as const;
const MS = 1e6;
/** Near the end of the numbers: they wrap. */
const FIRST = 0xffff_fff0;
const THEIRS = 7000;

interface Segment {
  readonly sequence: number;
  readonly acknowledged: number;
  readonly flags: number;
  readonly options: Buffer;
  readonly data: Buffer;
}

class OtherEnd {
  readonly got: Segment[] = [];
  readonly connection: TcpConnection;
  nowNs = 0;

  constructor() {
    this.connection = new TcpConnection(
      FLOW,
      FIRST,
      (bytes, offset, length) => this.#take(bytes, offset, length),
      0,
    );
  }

  #take(bytes: Uint8Array, offset: number, length: number): boolean {
    const frame = Buffer.from(bytes.subarray(offset, offset + length));
    const tcpBytes = readU16(frame, 16) - 20;
    expect(internetChecksum(frame, 14, 20)).toBe(0);
    // "do not fragment", so that identifiers that do not count up say nothing
    expect(readU16(frame, 20)).toBe(0x4000);
    const pseudo = Buffer.alloc(12 + tcpBytes);
    frame.copy(pseudo, 0, 26, 34);
    pseudo.writeUInt16BE(6, 8);
    pseudo.writeUInt16BE(tcpBytes, 10);
    frame.copy(pseudo, 12, TCP_AT, TCP_AT + tcpBytes);
    expect(internetChecksum(pseudo, 0, pseudo.length)).toBe(0);
    const headerBytes = (frame[TCP_AT + 12]! >> 4) * 4;
    this.got.push({
      sequence: readU32(frame, TCP_AT + 4),
      acknowledged: readU32(frame, TCP_AT + 8),
      flags: frame[TCP_AT + 13]!,
      options: frame.subarray(TCP_AT + HEADER_BYTES, TCP_AT + headerBytes),
      data: frame.subarray(TCP_AT + headerBytes, TCP_AT + tcpBytes),
    });
    return true;
  }

  /** What the connection sends now. */
  step(laterMs = 0): Segment[] {
    this.nowNs += laterMs * MS;
    this.got.length = 0;
    this.connection.step(this.nowNs);
    return [...this.got];
  }

  say(
    flags: number,
    sequence: number,
    acknowledged: number,
    window: number,
    data: Uint8Array = Buffer.alloc(0),
  ): void {
    const options = (flags & FLAG.syn) !== 0 ? Buffer.from([1, 3, 3, 2]) : Buffer.alloc(0);
    const segment = Buffer.alloc(HEADER_BYTES + options.length + data.length);
    writeU32(segment, 4, sequence);
    writeU32(segment, 8, acknowledged >>> 0);
    segment[12] = ((HEADER_BYTES + options.length) / 4) << 4;
    segment[13] = flags;
    writeU16(segment, 14, window);
    segment.set(options, HEADER_BYTES);
    segment.set(data, HEADER_BYTES + options.length);
    this.connection.take(segment, 0, segment.length, this.nowNs);
  }

  /** Its window is `window` << 2. */
  opened(window: number): this {
    this.say(FLAG.syn | FLAG.ack, THEIRS, FIRST + 1, window);
    this.step();
    this.say(FLAG.ack, THEIRS + 1, FIRST + 1, window);
    return this;
  }
}

describe('a TCP connection', () => {
  it('opens, and asks again while nobody answers', () => {
    const end = new OtherEnd();
    expect(end.got).toMatchObject([{ sequence: FIRST, flags: FLAG.syn }]);
    expect(end.step(100)).toEqual([]);
    expect(end.step(150)).toMatchObject([{ sequence: FIRST, flags: FLAG.syn }]);
    end.say(FLAG.syn | FLAG.ack, THEIRS, FIRST + 1, 1000);
    expect(end.connection.state).toBe('open');
    expect(end.step()).toMatchObject([{ flags: FLAG.ack, acknowledged: THEIRS + 1 }]);
  });

  it('sends what is queued first, then zeros, as far as the window allows', () => {
    const end = new OtherEnd().opened(1000);
    end.connection.write(Buffer.from('cookie'));
    end.connection.flooding = true;
    const sent = end.step();
    expect(sent[0]!.data.toString()).toBe('cookie');
    expect(sent.slice(1).every(({ data }) => data.length === 1460 && data.every((byte) => byte === 0))).toBe(
      true,
    );
    expect(sent.reduce((sum, { data }) => sum + data.length, 0)).toBeLessThanOrEqual(4000);
    expect(sent).toHaveLength(3);
    end.say(FLAG.ack, THEIRS + 1, FIRST + 1 + 6 + 1460, 1000);
    expect(end.connection.acknowledgedBytes).toBe(1466);
    expect(end.step()).toHaveLength(1);
    expect(end.connection.isDrained).toBe(false);
  });

  it('sends again what was lost: at the third repeated acknowledgement, or when nothing is heard', () => {
    const end = new OtherEnd().opened(4000);
    end.connection.write(Buffer.from('words'));
    end.connection.flooding = true;
    const first = end.step();
    for (let times = 0; times < 3; times++) end.say(FLAG.ack, THEIRS + 1, FIRST + 1, 4000);
    const again = end.step();
    expect(again[0]).toEqual(first[0]);
    expect(end.connection.retransmissions).toBe(1);
    expect(end.step(250)[0]).toEqual(first[0]);
    expect(end.connection.retransmissions).toBe(2);
    // the next silence may last twice as long
    expect(end.step(250)).toEqual([]);
    expect(end.step(200)[0]).toEqual(first[0]);
  });

  it('believes an acknowledgement that comes after it has begun to send again', () => {
    const end = new OtherEnd().opened(4000);
    end.connection.flooding = true;
    const sent = end.step();
    const bytes = sent.reduce((sum, { data }) => sum + data.length, 0);
    expect(bytes).toBeGreaterThan(8 * 1460);
    // too late for the timer: the least is sent again
    expect(end.step(250).length).toBeLessThan(sent.length);
    end.say(FLAG.ack, THEIRS + 1, FIRST + 1 + bytes, 4000);
    expect(end.connection.acknowledgedBytes).toBe(bytes);
    expect(end.step()[0]!.sequence).toBe((FIRST + 1 + bytes) % 2 ** 32);
    // what was never sent cannot be acknowledged
    end.say(FLAG.ack, THEIRS + 1, FIRST + 1 + 2 ** 24, 4000);
    expect(end.connection.acknowledgedBytes).toBe(bytes);
  });

  it('takes data in order only, and says what it waits for', () => {
    const end = new OtherEnd().opened(1000);
    let text = '';
    end.connection.onData = (bytes) => {
      text += Buffer.from(bytes).toString();
    };
    end.say(FLAG.ack, THEIRS + 1 + 3, FIRST + 1, 1000, Buffer.from('def'));
    expect(end.step()).toMatchObject([{ acknowledged: THEIRS + 1 }]);
    end.say(FLAG.ack, THEIRS + 1, FIRST + 1, 1000, Buffer.from('abc'));
    end.say(FLAG.ack, THEIRS + 1 + 3, FIRST + 1, 1000, Buffer.from('def'));
    expect(end.step()).toMatchObject([{ acknowledged: THEIRS + 7 }]);
    expect(text).toBe('abcdef');
    expect(end.connection.receivedBytes).toBe(6);
  });

  it('counts data that comes out of order, and tells what it has', () => {
    const end = new OtherEnd().opened(1000);
    const data = (from: number, bytes: number) => {
      end.got.length = 0;
      end.say(FLAG.ack, THEIRS + 1 + from, FIRST + 1, 1000, Buffer.alloc(bytes));
      return end.got.map(({ acknowledged, options }) => ({
        acknowledged: acknowledged - THEIRS - 1,
        ranges: Array.from({ length: Math.max(0, options.length - 4) / 4 }, (_, i) => {
          expect([...options.subarray(0, 4)]).toEqual([1, 1, 5, options.length - 2]);
          return readU32(options, 4 + 4 * i) - THEIRS - 1;
        }),
      }));
    };
    expect(data(100, 100)).toEqual([{ acknowledged: 0, ranges: [100, 200] }]);
    expect(data(300, 100)).toEqual([{ acknowledged: 0, ranges: [300, 400, 100, 200] }]);
    expect(data(200, 50)).toEqual([{ acknowledged: 0, ranges: [100, 250, 300, 400] }]);
    expect(end.connection.receivedBytes).toBe(0);
    data(0, 100);
    expect(end.connection.receivedBytes).toBe(250);
    // sent again from further back, with the gap in it
    data(200, 120);
    expect(end.connection.receivedBytes).toBe(400);
    data(0, 400);
    expect(end.connection.receivedBytes).toBe(400);
    expect(end.step()).toMatchObject([{ acknowledged: THEIRS + 401, options: Buffer.alloc(0) }]);
  });

  it('is closed by a reset, and resets as often as it is told to', () => {
    const end = new OtherEnd().opened(1000);
    end.step();
    end.connection.abort();
    end.connection.abort();
    expect(end.got.filter(({ flags }) => (flags & FLAG.rst) !== 0)).toHaveLength(2);
    // the guest has not believed it, and says what it waits for
    end.got.length = 0;
    end.say(FLAG.ack, THEIRS + 1, FIRST + 5, 1000);
    expect(end.got).toMatchObject([{ flags: FLAG.rst, sequence: FIRST + 5 }]);
    const other = new OtherEnd().opened(1000);
    other.say(FLAG.rst, THEIRS + 1, 0, 0);
    expect(other.connection.state).toBe('closed');
    expect(other.step(1000)).toEqual([]);
  });

  it('survives segments of anything', () => {
    const end = new OtherEnd().opened(1000);
    for (let seed = 1; seed < 500; seed++) {
      const junk = Buffer.alloc(20 + (seed % 40)).map((_, i) => (seed * (i + 7) * 2654435761) >>> 24);
      junk[13]! &= ~(FLAG.rst | FLAG.fin);
      end.connection.take(junk, 0, junk.length, end.nowNs);
    }
    expect(end.connection.state).toBe('open');
    end.step();
  });
});
