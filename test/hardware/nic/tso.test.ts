import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MAXFRS, PFDTXGSWC } from '../../../src/hardware/nic/offsets.js';
import { Card, macOf, PEER_MAC, Pool, RxRing, TxRing } from './engine-harness.js';
import { ethernet, internetChecksum, ipv4, ipv6, pseudoHeader, tcpSegment } from './packets.js';

const DATA = (3 << 20) | (1 << 25) | (1 << 29);
const CONTEXT = (2 << 20) | (1 << 29);
const TSE = 0x8000_0000 | 0;
const EOP_RS = (1 << 24) | (1 << 27);
const IPV4 = 1 << 10;
const TCP = 1 << 11;
const FIN_PSH_ACK_CWR = 0x99;
const SOURCE = [10, 0, 0, 1];
const TARGET = [10, 0, 0, 9];
const SOURCE6 = new Uint8Array(16).fill(0xfd);
const TARGET6 = new Uint8Array(16).fill(0xfe);

interface Chain {
  payload: Uint8Array;
  mss: number;
  version?: 4 | 6;
  vlan?: boolean;
  destination?: Uint8Array;
  /** Bytes per descriptor. */
  piece?: number;
}

/** Headers and payload as the stock driver prepares them: no IP length, pseudo-header sum without a length. */
function headers(chain: Chain): Uint8Array {
  const tcp = tcpSegment(new Uint8Array(0), 0xffff_ff00, FIN_PSH_ACK_CWR);
  const six = chain.version === 6;
  const pseudo = six ? pseudoHeader(SOURCE6, TARGET6, 6, 0) : pseudoHeader(SOURCE, TARGET, 6, 0);
  new DataView(tcp.buffer).setUint16(16, ~internetChecksum(pseudo));
  const packet = six ? ipv6(6, tcp, SOURCE6, TARGET6) : ipv4(6, tcp, SOURCE, TARGET);
  const view = new DataView(packet.buffer);
  if (six) view.setUint16(4, 0);
  else {
    view.setUint16(2, 0);
    view.setUint16(4, 0xfffe);
    view.setUint16(10, 0);
  }
  return ethernet(chain.destination ?? PEER_MAC, macOf(0), six ? 0x86dd : 0x0800, packet);
}

function push(ring: TxRing, chain: Chain): void {
  const six = chain.version === 6;
  const vlan = chain.vlan === true ? 1 << 30 : 0;
  const tag = chain.vlan === true ? 0x2005 << 16 : 0;
  ring.push([
    tag | (14 << 9) | (six ? 40 : 20),
    0,
    CONTEXT | TCP | (six ? 0 : IPV4),
    (1 << 4) | (20 << 8) | (chain.mss << 16),
  ]);
  const head = headers(chain);
  const all = Uint8Array.from([...head, ...chain.payload]);
  const piece = chain.piece ?? 16384;
  for (let at = 0; at < all.length; at += piece) {
    const part = all.subarray(at, at + piece);
    const last = at + piece >= all.length;
    const options = at === 0 ? (chain.payload.length << 14) | (3 << 8) | (1 << 7) | (1 << 4) : 0;
    ring.push([ring.stash(part), 0, DATA | TSE | vlan | part.length | (last ? EOP_RS : 0), options]);
  }
  ring.ring();
}

/** Checks every header of what left, and returns the payload put together again. */
function reassemble(frames: readonly Uint8Array[], chain: Chain): Buffer {
  const pieces: Uint8Array[] = [];
  let sequence = 0xffff_ff00;
  const shift = chain.vlan === true ? 4 : 0;
  for (const [index, frame] of frames.entries()) {
    const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
    if (shift !== 0) expect(view.getUint32(12)).toBe(0x8100_2005);
    const ip = 14 + shift;
    const six = chain.version === 6;
    const tcp = ip + (six ? 40 : 20);
    const end = six ? tcp + view.getUint16(ip + 4) : ip + view.getUint16(ip + 2);
    if (!six) {
      expect(view.getUint16(ip + 4)).toBe((0xfffe + index) & 0xffff);
      expect(internetChecksum(frame.subarray(ip, tcp))).toBe(0);
    }
    const addresses = six ? ([SOURCE6, TARGET6] as const) : ([SOURCE, TARGET] as const);
    expect(
      internetChecksum(pseudoHeader(addresses[0], addresses[1], 6, end - tcp), frame.subarray(tcp, end)),
    ).toBe(0);
    expect(view.getUint32(tcp + 4)).toBe(sequence >>> 0);
    const flags = frame[tcp + 13]!;
    const last = index === frames.length - 1;
    expect(flags).toBe(0x10 | (index === 0 ? 0x80 : 0) | (last ? 0x09 : 0));
    const part = frame.subarray(tcp + 20, end);
    if (!last) expect(part.length).toBe(chain.mss);
    pieces.push(part);
    sequence += part.length;
  }
  return Buffer.concat(pieces);
}

const payloadOf = (length: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (i * 131 + (i >> 8)) & 0xff);

function send(chain: Chain): Uint8Array[] {
  const card = new Card();
  const ring = new TxRing(new Pool(card, 0));
  push(ring, chain);
  card.run();
  expect(ring.head).toBe(ring.tail);
  return card.wire.sent;
}

describe('TCP segmentation', () => {
  it('cuts 64 KiB of IPv4 into segments with right headers', () => {
    const chain: Chain = { payload: payloadOf(65536), mss: 1460 };
    const frames = send(chain);
    expect(frames).toHaveLength(Math.ceil(65536 / 1460));
    expect(reassemble(frames, chain).equals(chain.payload)).toBe(true);
  });

  it('cuts the largest chain that there is', () => {
    const chain: Chain = { payload: payloadOf(0x3ffff - 54), mss: 1448 };
    expect(reassemble(send(chain), chain).equals(chain.payload)).toBe(true);
  });

  it('does IPv6, tags and any size', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 9000 }),
        fc.integer({ min: 6, max: 4000 }),
        fc.constantFrom(4 as const, 6 as const),
        fc.boolean(),
        fc.integer({ min: 300, max: 3000 }),
        (length, mss, version, vlan, piece) => {
          const chain: Chain = { payload: payloadOf(length), mss, version, vlan, piece };
          expect(reassemble(send(chain), chain).equals(chain.payload)).toBe(true);
        },
      ),
      { numRuns: 25 },
    );
  });

  it.each([
    ['no segment size', { mss: 0 }],
    ['a segment larger than any frame', { mss: 9700 }],
    ['nothing behind the headers', { payload: new Uint8Array(0) }],
  ])('drops a chain with %s', (_what, change) => {
    expect(send({ payload: payloadOf(20_000), mss: 1000, ...change })).toHaveLength(0);
  });

  it('waits as a whole for a receiver inside the card', () => {
    const card = new Card();
    card.set(MAXFRS, 9728 << 16);
    card.set(PFDTXGSWC, 1);
    const sender = new TxRing(new Pool(card, 0));
    const receiver = new RxRing(new Pool(card, 1));
    const chain: Chain = { payload: payloadOf(5000), mss: 1000, destination: macOf(1) };
    push(sender, chain);
    receiver.post(4);
    card.run();
    expect(receiver.head).toBe(0);
    expect(sender.head).toBe(1);
    receiver.post(1);
    card.run();
    const frames = [0, 1, 2, 3, 4].map((slot) => receiver.payload(slot));
    expect(reassemble(frames, chain).equals(chain.payload)).toBe(true);
    expect(card.wire.sent).toHaveLength(0);
  });
});
