/**
 * Numbered and time-stamped datagrams to a guest's echo port, and what comes back: the reply to one of them, or what no echo
 * should be. When one is sent, and what its reply means, is the owner's.
 */
import { ipNumber, macBytes } from '../../hardware/wire/frames.js';
import {
  PAYLOAD_HEAD_BYTES,
  payloadIsGood,
  payloadSeq,
  payloadTimestampNs,
  writePayload,
} from '../../hardware/wire/test-payload.js';
import type { DatagramHandler, TrafficPeer } from './traffic-peer.js';
import { MAX_PAYLOAD_BYTES, UdpSender } from './udp-sender.js';

export interface EchoTarget {
  readonly ip: string;
  /** Without it, ARP finds out. */
  readonly mac?: string;
  /** 7 when left out. */
  readonly port?: number;
  /** ICMP echo requests instead of datagrams. */
  readonly ping?: boolean;
}

/** Each intact reply, also one that came before. */
export type ReplyHandler = (seq: number, sentNs: number) => void;

const ECHO_PORT = 7;

export class EchoSender {
  private readonly peer: TrafficPeer;
  private readonly sender: UdpSender;
  private readonly payloadBytes: number;
  private readonly onReply: ReplyHandler;
  private sentSoFar = 0;
  private corruptSoFar = 0;

  /** @throws RangeError for a payload that cannot carry the test words. */
  constructor(peer: TrafficPeer, target: EchoTarget, payloadBytes: number, onReply: ReplyHandler) {
    if (!(payloadBytes >= PAYLOAD_HEAD_BYTES && payloadBytes <= MAX_PAYLOAD_BYTES)) {
      throw new RangeError(
        `echo: a payload of ${payloadBytes} bytes; from ${PAYLOAD_HEAD_BYTES} to ${MAX_PAYLOAD_BYTES} is possible`,
      );
    }
    this.peer = peer;
    this.payloadBytes = payloadBytes;
    this.onReply = onReply;
    const { ip, mac, port = ECHO_PORT, ping = false } = target;
    const sourcePort = peer.freePort();
    const take: DatagramHandler = (bytes, offset, length) => this.take(bytes, offset, length);
    if (ping) peer.bindPing(sourcePort, take);
    else peer.bindUdp(sourcePort, take);
    const where = { ip: ipNumber(ip), port, ping, ...(mac !== undefined && { mac: macBytes(mac) }) };
    this.sender = new UdpSender(peer, where, sourcePort);
  }

  /** How many were sent, and so the next one's number. */
  get sent(): number {
    return this.sentSoFar;
  }

  /** What came back and is no reply to any of them. */
  get corrupt(): number {
    return this.corruptSoFar;
  }

  /** Whether the target's MAC is known; asks for it when not. */
  ready(): boolean {
    return this.sender.ready();
  }

  /** Sends the next one; returns when. */
  send(): number {
    const { sender, payloadBytes } = this;
    const nowNs = this.peer.clock.nowNs();
    writePayload(sender.bytes, sender.payloadOffset, payloadBytes, this.sentSoFar++, nowNs);
    sender.send(payloadBytes);
    return nowNs;
  }

  private take(bytes: Uint8Array, offset: number, length: number): void {
    if (!payloadIsGood(bytes, offset, length) || payloadSeq(bytes, offset) >= this.sentSoFar) {
      this.corruptSoFar++;
      return;
    }
    this.onReply(payloadSeq(bytes, offset), payloadTimestampNs(bytes, offset));
  }
}
