/**
 * packet-source: sends test payload to `peer`.
 *
 *   peer=10.0.0.1 [peer-mac=52:54:..] [port=9] [source-port=20000] [flows=1]
 *   size=1518      frame on the wire with its CRC
 *   rate=0         packets per second; 0: as many as the card takes
 *   count=0        stop after so many packets; 0: never
 *   tso=1          TCP segments of up to 64 KiB that the card cuts; each segment carries a payload of its own
 *
 * Counters: 6 packets sent, 7 times the ring was full.
 */
import { PAYLOAD_HEAD_BYTES } from '../lib/checksum';
import { ipOption, macOption, numberOption, optionIs } from '../lib/cmdline';
import { printLine } from '../lib/console';
import { addTo, count } from '../lib/counters';
import { extend, make } from '../lib/memory';
import { askWhoHas, UDP_PAYLOAD_AT, writeDatagram, writeTcpHeaders } from '../lib/net';
import { Network, OPEN, txRing } from '../lib/network';
import { writeTestPayload } from '../lib/payload';
import { NEVER, serve } from '../lib/serve';
import {
  flushTx,
  OFFLOAD_UDP,
  packetBuffer,
  segmentedDescriptors,
  sendPacket,
  sendSegmented,
  txInFlight,
} from '../lib/tx-ring';

const SENT: usize = 6;
const FULL: usize = 7;
const BURST: u32 = 64;
const CRC_BYTES: u32 = 4;
const TCP_HEADERS: u32 = 54;
/** Large sends whose payload may still be read by the card. */
const SEND_BUFFERS: u32 = 16;
const SEND_BYTES: u32 = 65536;
const ARP_INTERVAL_NS: u64 = 200_000_000;
const FULL_RETRY_NS: u64 = 30_000;
/** What a source that was held up may make good at once. */
const MOST_DEBT_NS: f64 = 10_000_000;

@unmanaged class Source {
  macLow: u32;
  macHigh: u32;
  known: bool;
  peer: u32;
  port: u32;
  sourcePort: u32;
  flows: u32;
  flow: u32;
  payloadBytes: u32;
  nsPerPacket: f64;
  dueNs: f64;
  left: u64;
  /** Next sequence number per flow. */
  sequences: usize;
  /** Payload of large sends; 0: UDP. */
  sends: usize;
  nextSend: u32;
  tcpSequence: u32;

  start(net: Network): void {
    this.peer = ipOption('peer', 0x0100000a);
    this.known = macOption('peer-mac', changetype<usize>(this));
    this.port = <u32>numberOption('port', 9);
    this.sourcePort = <u32>numberOption('source-port', 20000);
    this.flows = <u32>max(1, min(1024, numberOption('flows', 1)));
    this.sequences = extend(this.flows << 2);
    const limit = net.mtu + 14 + CRC_BYTES;
    const frame = max(64, min(limit, <u32>numberOption('size', 1518))) - CRC_BYTES;
    const rate = numberOption('rate', 0);
    this.nsPerPacket = rate == 0 ? 0 : 1e9 / <f64>rate;
    const total = numberOption('count', 0);
    this.left = total == 0 ? NEVER : total;
    this.payloadBytes = frame - UDP_PAYLOAD_AT;
    if (optionIs('tso', '1')) {
      this.payloadBytes = max(frame - TCP_HEADERS, PAYLOAD_HEAD_BYTES);
      this.sends = extend(SEND_BUFFERS * SEND_BYTES);
      if (this.sends == 0) printLine('packet-source: no memory for large sends; sending datagrams');
    }
  }

  neighbour(ip: u32, mac: usize): void {
    if (ip != this.peer) return;
    memory.copy(changetype<usize>(this), mac, 6);
    this.known = true;
  }

  work(net: Network, nowNs: u64): u64 {
    if (net.state != OPEN || !net.linkUp) return nowNs + ARP_INTERVAL_NS;
    if (!this.known) {
      askWhoHas(net, this.peer);
      return nowNs + ARP_INTERVAL_NS;
    }
    if (this.left == 0) return NEVER;
    const now = <f64>nowNs;
    if (this.dueNs == 0) this.dueNs = now;
    this.dueNs = max(this.dueNs, now - MOST_DEBT_NS);
    let sent: u32 = 0;
    while (sent < BURST && this.left != 0 && this.dueNs <= now) {
      const packets = this.sends != 0 ? this.sendLarge(net, now) : this.sendDatagram(net, now);
      if (packets == 0) {
        count(FULL);
        flushTx(txRing(net, 0));
        return nowNs + FULL_RETRY_NS;
      }
      sent += packets;
      this.dueNs += this.nsPerPacket * <f64>packets;
    }
    flushTx(txRing(net, 0));
    addTo(SENT, sent);
    return this.nsPerPacket == 0 ? nowNs : <u64>max(now, this.dueNs);
  }

  @inline nextFlow(): u32 {
    const flow = this.flow;
    this.flow = flow + 1 == this.flows ? 0 : flow + 1;
    return flow;
  }

  @inline nextSequence(flow: u32): u32 {
    const at = this.sequences + (<usize>flow << 2);
    const sequence = load<u32>(at);
    store<u32>(at, sequence + 1);
    return sequence;
  }

  /** Returns packets sent; 0: no room. */
  sendDatagram(net: Network, nowNs: f64): u32 {
    const ring = txRing(net, 0);
    const frame = packetBuffer(ring, 1);
    if (frame == 0) return 0;
    const flow = this.nextFlow();
    const bytes = this.payloadBytes;
    writeTestPayload(frame + UDP_PAYLOAD_AT, bytes, this.nextSequence(flow), nowNs);
    const mac = changetype<usize>(this);
    writeDatagram(net, frame, mac, this.peer, this.sourcePort + flow, this.port, bytes);
    sendPacket(ring, UDP_PAYLOAD_AT + bytes, OFFLOAD_UDP);
    this.left--;
    return 1;
  }

  sendLarge(net: Network, nowNs: f64): u32 {
    const ring = txRing(net, 0);
    const bytes = this.payloadBytes;
    const segments = <u32>min(<u64>(65535 - TCP_HEADERS) / bytes, this.left);
    if (txInFlight(ring) >= SEND_BUFFERS) return 0;
    const frame = packetBuffer(ring, segmentedDescriptors(segments * bytes));
    if (frame == 0) return 0;
    const payload = this.sends + this.nextSend * SEND_BYTES;
    this.nextSend = (this.nextSend + 1) % SEND_BUFFERS;
    for (let i: u32 = 0; i < segments; i++) {
      writeTestPayload(payload + i * bytes, bytes, this.nextSequence(0), nowNs);
    }
    const mac = changetype<usize>(this);
    writeTcpHeaders(net, frame, mac, this.peer, this.sourcePort, this.port, this.tcpSequence);
    this.tcpSequence += segments * bytes;
    sendSegmented(ring, payload, segments * bytes, bytes);
    this.left -= segments;
    return segments;
  }

  udp(net: Network, queue: u32, frame: usize, payload: usize, bytes: u32, port: u32): void {}
  tcp(net: Network, queue: u32, frame: usize, payload: usize, bytes: u32, port: u32): void {}
  refreshCounters(): void {}
  resetCounters(): void {}
}

export function run(): u32 {
  return serve<Source>(make<Source>());
}
