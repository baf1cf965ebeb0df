/**
 * The other end of the cable: a host with an address that builds frames for the guest and reads what comes back.
 */
import {
  ARP_REPLY,
  ARP_REQUEST,
  ETHERNET_BYTES,
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  FrameReader,
  IPV4_BYTES,
  internetChecksum,
  ipNumber,
  MIN_FRAME_BYTES,
  macBytes,
  PROTOCOL_ICMP,
  PROTOCOL_UDP,
  readU16,
  readU32,
  UDP_PAYLOAD_OFFSET,
  writeArp,
  writeU16,
  writeU32,
  writeUdpHeaders,
} from '../../src/hardware/wire/frames.js';
import type { Wire } from '../../src/hardware/wire/wire.js';
import { GUEST_MAC } from './guest-machine.js';

export const HOST_IP = '10.0.0.1';
export const GUEST_IP = '10.0.0.2';
export const HOST_MAC = '52:54:00:00:00:fe';
const BROADCAST = 'ff:ff:ff:ff:ff:ff';
const ZERO = '00:00:00:00:00:00';

export interface Datagram {
  readonly sourcePort: number;
  readonly targetPort: number;
  readonly payload: Uint8Array;
}

/** Counters of lib/counters.ts by index. */
export const COUNTER = {
  received: 0,
  bytes: 1,
  badChecksum: 2,
  outOfOrder: 3,
  duplicates: 4,
  lost: 5,
  rxPackets: 16,
  rxBytes: 17,
  txPackets: 18,
  rxErrors: 20,
  opens: 22,
  reloads: 23,
  gprc: 24,
  gorc: 25,
  gptc: 26,
  interrupts: 29,
  timeouts: 30,
} as const;

export class Host {
  readonly frames: Uint8Array[] = [];
  readonly datagrams: Datagram[] = [];
  readonly #wire: Wire;
  readonly #reader = new FrameReader();
  readonly #scratch = new Uint8Array(10_000);

  constructor(wire: Wire) {
    this.#wire = wire;
  }

  sendFrame(frame: Uint8Array): void {
    this.#wire.transmit(frame, 0, frame.length);
    this.#wire.flush();
  }

  /** A datagram of any payload; `change` may spoil the frame before it goes. */
  sendUdp(
    targetPort: number,
    payload: Uint8Array,
    sourcePort = 20_000,
    change?: (frame: Uint8Array) => void,
  ): void {
    const flow = {
      sourceMac: macBytes(HOST_MAC),
      targetMac: macBytes(GUEST_MAC),
      sourceIp: ipNumber(HOST_IP),
      targetIp: ipNumber(GUEST_IP),
      sourcePort,
      targetPort,
    };
    const frame = new Uint8Array(Math.max(MIN_FRAME_BYTES, UDP_PAYLOAD_OFFSET + payload.length));
    writeUdpHeaders(frame, 0, flow, payload.length);
    frame.set(payload, UDP_PAYLOAD_OFFSET);
    change?.(frame);
    this.sendFrame(frame);
  }

  /** Puts the right UDP checksum into a frame of sendUdp(). */
  static fillUdpChecksum(frame: Uint8Array): void {
    const udp = ETHERNET_BYTES + IPV4_BYTES;
    const udpBytes = readU16(frame, udp + 4);
    writeU16(frame, udp + 6, 0);
    writeU16(frame, udp + 6, udpChecksum(frame, udp, udpBytes) || 0xffff);
  }

  sendArpRequest(ip = GUEST_IP): void {
    const frame = new Uint8Array(MIN_FRAME_BYTES);
    writeArp(frame, 0, {
      operation: ARP_REQUEST,
      senderMac: macBytes(HOST_MAC),
      senderIp: ipNumber(HOST_IP),
      targetMac: macBytes(ZERO),
      targetIp: ipNumber(ip),
      frameTargetMac: macBytes(BROADCAST),
    });
    this.sendFrame(frame);
  }

  sendPing(payload: Uint8Array, sequence: number): void {
    const frame = new Uint8Array(Math.max(MIN_FRAME_BYTES, ETHERNET_BYTES + IPV4_BYTES + 8 + payload.length));
    writeUdpHeaders(
      frame,
      0,
      {
        sourceMac: macBytes(HOST_MAC),
        targetMac: macBytes(GUEST_MAC),
        sourceIp: ipNumber(HOST_IP),
        targetIp: ipNumber(GUEST_IP),
        sourcePort: 0,
        targetPort: 0,
      },
      payload.length,
    );
    const icmp = ETHERNET_BYTES + IPV4_BYTES;
    frame[ETHERNET_BYTES + 9] = PROTOCOL_ICMP;
    writeU16(frame, ETHERNET_BYTES + 10, 0);
    writeU16(frame, ETHERNET_BYTES + 10, internetChecksum(frame, ETHERNET_BYTES, IPV4_BYTES));
    frame[icmp] = 8;
    frame[icmp + 1] = 0;
    writeU16(frame, icmp + 2, 0);
    writeU32(frame, icmp + 4, sequence);
    frame.set(payload, icmp + 8);
    writeU16(frame, icmp + 2, internetChecksum(frame, icmp, 8 + payload.length));
    this.sendFrame(frame);
  }

  /** Takes everything that has arrived; answers ARP for the host's address. */
  receive(): void {
    this.#wire.receive((bytes, offset, length) => {
      const frame = bytes.slice(offset, offset + length);
      this.frames.push(frame);
      this.#read(frame);
      return true;
    }, 4096);
  }

  /** The last datagram to a port; receive() first. */
  lastTo(port: number): Datagram | undefined {
    return this.datagrams.findLast((datagram) => datagram.targetPort === port);
  }

  #read(frame: Uint8Array): void {
    const reader = this.#reader;
    if (!reader.parse(frame, 0, frame.length)) return;
    if (reader.etherType === ETHERTYPE_ARP) this.#answerArp(frame);
    if (reader.etherType !== ETHERTYPE_IPV4 || reader.protocol !== PROTOCOL_UDP) return;
    this.datagrams.push({
      sourcePort: reader.sourcePort,
      targetPort: reader.targetPort,
      payload: frame.slice(reader.payloadOffset, reader.payloadOffset + reader.payloadBytes),
    });
  }

  #answerArp(frame: Uint8Array): void {
    const arp = ETHERNET_BYTES;
    if (readU16(frame, arp + 6) !== ARP_REQUEST || readU32(frame, arp + 24) !== ipNumber(HOST_IP)) return;
    const length = writeArp(this.#scratch, 0, {
      operation: ARP_REPLY,
      senderMac: macBytes(HOST_MAC),
      senderIp: ipNumber(HOST_IP),
      targetMac: frame.slice(arp + 8, arp + 14),
      targetIp: readU32(frame, arp + 14),
      frameTargetMac: frame.slice(arp + 8, arp + 14),
    });
    this.sendFrame(this.#scratch.slice(0, length));
  }
}

/** The UDP checksum of a datagram in a frame; 0 over one that carries its own correct one. */
export function udpChecksum(frame: Uint8Array, udp: number, udpBytes: number): number {
  const ip = ETHERNET_BYTES;
  const pseudo = new Uint8Array(12 + udpBytes);
  pseudo.set(frame.subarray(ip + 12, ip + 20), 0);
  writeU16(pseudo, 8, frame[ip + 9]!);
  writeU16(pseudo, 10, udpBytes);
  pseudo.set(frame.subarray(udp, udp + udpBytes), 12);
  return internetChecksum(pseudo, 0, pseudo.length);
}

/** A reply to the counters' query. */
export function readCounters(payload: Uint8Array): number[] {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  return Array.from({ length: 32 }, (_, index) => Number(view.getBigUint64(index * 8, true)));
}
