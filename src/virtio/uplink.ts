/** The driver domain's way to the wire, as its switch uses it. */
import type { Bytes } from '../hardware/bytes.js';
import type { CardOffload } from './card-offload.js';

export interface Uplink {
  /** Where frames lie that are sent and received. */
  readonly bytes: Bytes;
  /** Longest frame. */
  readonly frameBytes: number;
  /** Longest segment that it cuts into frames. */
  readonly largeBytes: number;
  /** Where the next frame to send is to lie, frameBytes of room; -1 while the ring is full. */
  sendAt(): number;
  /** The same for a segment to be cut, largeBytes of room. */
  sendLargeAt(): number;
  /** Sends what lies where sendAt() said. @param offload the checksum to finish; null: none */
  send(length: number, offload: CardOffload | null): void;
  sendLarge(length: number, offload: CardOffload): void;
  /** Takes the next received frame: its length, or -1. It lies at `receivedAt` until the next call. */
  receive(): number;
  readonly receivedAt: number;
  /** Its checksum was looked at, and is right. */
  readonly receivedIsVerified: boolean;
  /** Tells the card of what was sent and of free receive buffers. */
  flush(): void;
}
