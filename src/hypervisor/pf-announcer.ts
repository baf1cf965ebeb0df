/**
 * Announcements: after a migration the hypervisor says on the guest's behalf where its address now is. The frame leaves
 * through the PF's own pool and its one Tx queue, so it takes the card's normal way to the wire.
 *
 *   host memory:  [ descriptor ring, 64 slots | 64 frame buffers of 128 bytes ]   mapped into the PF's domain
 */
import { createDomainHandle } from '../hardware/iommu/domain.js';
import type { DomainHandle } from '../hardware/iommu/handle.js';
import { TX_COMMAND, TX_TYPE } from '../hardware/nic/descriptors.js';
import { DCTL_ENABLE, queueOf, TX, txQueueOffset } from '../hardware/nic/offsets.js';
import type { PfBar } from '../hardware/nic/pf-bar.js';
import { PF_POOL } from '../hardware/nic/shared.js';
import { PAGE_BYTES } from '../hardware/units.js';
import { macBytes } from './mac.js';

const SLOTS = 64;
const BUFFER_BYTES = 128;
const FRAME_BYTES = 60;
const BUFFERS = PAGE_BYTES;
const MEMORY_BYTES = BUFFERS + SLOTS * BUFFER_BYTES;
const ETHERTYPE_RARP = 0x8035;
const ETHERTYPE_VLAN = 0x8100;
const RARP_REQUEST = 3;
const INSERT_CRC = 1 << 25;

export class PfAnnouncer {
  /** To be attached to the PF's pool. */
  readonly domain: DomainHandle;
  readonly #bar: PfBar;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  #tail = 0;

  constructor(bar: PfBar) {
    const memory = new SharedArrayBuffer(MEMORY_BYTES);
    this.#bar = bar;
    this.#words = new Int32Array(memory);
    this.#bytes = new Uint8Array(memory);
    this.domain = createDomainHandle(memory, [
      { iovaStart: 0, memoryOffset: 0, bytes: MEMORY_BYTES, writable: true },
    ]);
  }

  /** After the domain was attached. */
  bringUp(): void {
    this.#write(TX.TXDCTL, 0);
    this.#write(TX.TDBAL, 0);
    this.#write(TX.TDBAH, 0);
    this.#write(TX.TDLEN, SLOTS * 16);
    this.#write(TX.TDH, 0);
    this.#write(TX.TDT, 0);
    this.#write(TX.TXDCTL, DCTL_ENABLE);
    this.#tail = 0;
  }

  /** False: the ring is full, the link has been down for long. @param vlan tag that the frame carries; 0 = none */
  announce(mac: string, vlan = 0): boolean {
    const next = (this.#tail + 1) % SLOTS;
    if (next === this.#bar.read32(0, txQueueOffset(queueOf(PF_POOL, 0)) + TX.TDH)) return false;
    const buffer = BUFFERS + this.#tail * BUFFER_BYTES;
    this.#bytes.fill(0, buffer, buffer + BUFFER_BYTES);
    this.#bytes.set(announcement(mac, vlan), buffer);
    const slot = this.#tail * 4;
    Atomics.store(this.#words, slot, buffer);
    Atomics.store(this.#words, slot + 1, 0);
    const command = TX_COMMAND.endOfPacket | TX_COMMAND.reportStatus | TX_COMMAND.advanced | INSERT_CRC;
    Atomics.store(this.#words, slot + 2, FRAME_BYTES | (TX_TYPE.data << 20) | command);
    Atomics.store(this.#words, slot + 3, FRAME_BYTES << 14);
    this.#tail = next;
    this.#write(TX.TDT, next);
    return true;
  }

  #write(register: number, value: number): void {
    this.#bar.write32(0, txQueueOffset(queueOf(PF_POOL, 0)) + register, value);
  }
}

/** A reverse-ARP request of the station for itself, to everyone: switches learn its port, nobody answers. */
export function announcement(mac: string, vlan: number): number[] {
  const station = macBytes(mac);
  const tag = vlan === 0 ? [] : [...be16(ETHERTYPE_VLAN), ...be16(vlan)];
  return [
    ...new Array<number>(6).fill(0xff),
    ...station,
    ...tag,
    ...be16(ETHERTYPE_RARP),
    ...be16(1),
    ...be16(0x0800),
    6,
    4,
    ...be16(RARP_REQUEST),
    ...station,
    ...[0, 0, 0, 0],
    ...station,
  ];
}

const be16 = (value: number): [number, number] => [(value >>> 8) & 0xff, value & 0xff];
