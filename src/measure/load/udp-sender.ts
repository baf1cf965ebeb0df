/**
 * Sends datagrams, or pings, from a peer to one target through one prepared frame: the load writes its payload straight into the
 * frame, and the headers are only rewritten when the payload's length or the target's MAC changed.
 */
import type { UdpFlow } from '../../hardware/wire/frames.js';
import {
  MIN_FRAME_BYTES,
  UDP_PAYLOAD_OFFSET,
  writeEchoRequest,
  writeUdpHeaders,
} from '../../hardware/wire/frames.js';
import { MAX_FRAME_BYTES } from '../../hardware/wire/wire.js';
import type { TrafficPeer } from './traffic-peer.js';

export interface UdpTarget {
  /** IPv4 address as an unsigned number. */
  readonly ip: number;
  readonly port: number;
  /** An echo request instead of a datagram, its identifier the source port. */
  readonly ping?: boolean;
  /** Without it, ARP finds out. */
  readonly mac?: Uint8Array;
}

/** Keeps the payload on a multiple of 8 in its buffer. */
const FRAME_OFFSET = 6;

export const MAX_PAYLOAD_BYTES = MAX_FRAME_BYTES - UDP_PAYLOAD_OFFSET;

export class UdpSender {
  /** Write the payload here, at `payloadOffset`, then send(). */
  readonly bytes = new Uint8Array(FRAME_OFFSET + MAX_FRAME_BYTES);
  readonly payloadOffset = FRAME_OFFSET + UDP_PAYLOAD_OFFSET;
  private readonly peer: TrafficPeer;
  private readonly target: UdpTarget;
  private readonly sourcePort: number;
  /** Null until the target's MAC is known. */
  private flow: UdpFlow | null = null;
  /** The peer's neighbourChanges when the target's MAC was looked up. */
  private resolvedAt = -1;
  private headerPayloadBytes = -1;
  private pings = 0;

  constructor(peer: TrafficPeer, target: UdpTarget, sourcePort: number) {
    this.peer = peer;
    this.target = target;
    this.sourcePort = sourcePort;
  }

  /** Whether the target's MAC is known; asks for it when not. */
  ready(): boolean {
    const { neighbourChanges } = this.peer;
    if (this.flow !== null && neighbourChanges === this.resolvedAt) return true;
    const targetMac = this.target.mac ?? this.peer.resolve(this.target.ip);
    if (targetMac === null) return false;
    this.resolvedAt = neighbourChanges;
    // the headers are written anew
    this.headerPayloadBytes = -1;
    this.flow = {
      sourceMac: this.peer.mac,
      targetMac,
      sourceIp: this.peer.ip,
      targetIp: this.target.ip,
      sourcePort: this.sourcePort,
      targetPort: this.target.port,
    };
    return true;
  }

  /** Sends the first `payloadBytes` of what was written. False: the frame was lost at our own port. */
  send(payloadBytes: number): boolean {
    if (!this.ready()) return false;
    // a ping's checksum covers what it carries
    if (this.target.ping === true || payloadBytes !== this.headerPayloadBytes) {
      this.writeHeaders(this.flow!, payloadBytes);
    }
    const length = Math.max(MIN_FRAME_BYTES, UDP_PAYLOAD_OFFSET + payloadBytes);
    return this.peer.transmit(this.bytes, FRAME_OFFSET, length);
  }

  private writeHeaders(flow: UdpFlow, payloadBytes: number): void {
    if (this.target.ping === true)
      writeEchoRequest(this.bytes, FRAME_OFFSET, flow, this.pings++, payloadBytes);
    else writeUdpHeaders(this.bytes, FRAME_OFFSET, flow, payloadBytes);
    this.headerPayloadBytes = payloadBytes;
    const paddingFrom = this.payloadOffset + payloadBytes;
    const minimum = FRAME_OFFSET + MIN_FRAME_BYTES;
    if (paddingFrom < minimum) this.bytes.fill(0, paddingFrom, minimum);
  }
}
