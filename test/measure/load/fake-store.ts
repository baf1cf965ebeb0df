/** A store guest as the contract describes it, for the client's tests; with ways to go wrong. */
import type { TrafficPeer } from '../../../src/measure/load/traffic-peer.js';
import { UdpSender } from '../../../src/measure/load/udp-sender.js';

export interface FakeStore {
  readonly values: Map<string, { flags: string; data: Buffer }>;
  /** May change a reply on its way out. */
  tamper: (reply: Buffer) => Buffer;
  requests: number;
}

export function fakeStore(guest: TrafficPeer, clientIp: number): FakeStore {
  const store: FakeStore = { values: new Map(), tamper: (reply) => reply, requests: 0 };
  let sender: UdpSender | null = null;
  guest.bindUdp(11211, (bytes, offset, length, _nowNs, sourcePort) => {
    store.requests++;
    const request = Buffer.from(bytes.slice(offset, offset + length));
    const reply = store.tamper(Buffer.concat([request.subarray(0, 8), answer(store, request.subarray(8))]));
    sender ??= new UdpSender(guest, { ip: clientIp, port: sourcePort }, 11211);
    sender.bytes.set(reply, sender.payloadOffset);
    sender.send(reply.length);
  });
  return store;
}

function answer(store: FakeStore, request: Buffer): Buffer {
  const lineEnd = request.indexOf('\r\n');
  const [command, key, flags, , length] = request.subarray(0, lineEnd).toString('latin1').split(' ');
  if (command === 'set') {
    const data = Buffer.from(request.subarray(lineEnd + 2, lineEnd + 2 + Number(length)));
    if (request.subarray(lineEnd + 2 + Number(length)).toString('latin1') !== '\r\n') {
      return Buffer.from('CLIENT_ERROR bad data chunk\r\n');
    }
    store.values.set(key!, { flags: flags!, data });
    return Buffer.from('STORED\r\n');
  }
  if (command === 'get') {
    const value = store.values.get(key!);
    if (value === undefined) return Buffer.from('END\r\n');
    const head = Buffer.from(`VALUE ${key} ${value.flags} ${value.data.length}\r\n`);
    return Buffer.concat([head, value.data, Buffer.from('\r\nEND\r\n')]);
  }
  return Buffer.from(store.values.delete(key!) ? 'DELETED\r\n' : 'NOT_FOUND\r\n');
}
