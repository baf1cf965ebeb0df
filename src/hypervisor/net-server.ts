/**
 * Who serves a paravirtual NIC's queues, as the NIC sees it: the driver domain of a card, or a virtual interface of a device
 * that virtualises itself.
 */
import type { TimerClock } from '../hardware/clock.js';
import type { VirtioNetHandle } from '../virtio/device-words.js';
import type { InterruptTarget } from './interrupt-remap.js';

export interface NetServer {
  /** It is hardware: its registers can be passed through. */
  readonly isDevice: boolean;
  /** What a guest rings when it has something to serve. */
  readonly bell: SharedArrayBuffer;
  /** Longest frame without its checksum. */
  readonly frameBytes: number;
  /** Features that its devices offer besides those that every one has; low word. */
  readonly offloads?: number;
  /** Lets the wire's frames for an address come here. */
  addAddress(mac: string): void;
  removeAddress(mac: string): void;
  /** Tells the network that this is the way to an address. */
  announceAddress(mac: string): void;
  readonly timers: TimerClock;
  /** Returns the number to name the device by. */
  attach(handle: VirtioNetHandle, target: InterruptTarget, serving: boolean): Promise<number>;
  /** When it resolves, nothing of the guest's memory is touched any more. */
  detach(device: number): Promise<void>;
  /** Begins or ends to serve a device; between two turns, so that no frame is half done. */
  serve(device: number, on: boolean): Promise<void>;
  /** Resolves when every turn from now on sees what was stored in shared words before. */
  sync(): Promise<void>;
}
