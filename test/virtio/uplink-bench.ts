/**
 * A driver domain on the bench, in one thread: a card with its engine and PF driver, a VF as uplink, the switch, guests. The
 * far end of the cable is the test's.
 */
import { createDomainHandle } from '../../src/hardware/iommu/domain.js';
import { NicEngine } from '../../src/hardware/nic/engine.js';
import { resetNic } from '../../src/hardware/nic/reset.js';
import { PF_FUNCTION } from '../../src/hardware/pci/offsets.js';
import { createCable } from '../../src/hardware/wire/cable.js';
import type { Wire } from '../../src/hardware/wire/wire.js';
import { macOfWords } from '../../src/hypervisor/mac.js';
import { PfDriver } from '../../src/hypervisor/pf-driver.js';
import { XCAST } from '../../src/hypervisor/vf-record.js';
import { SoftwareSwitch } from '../../src/virtio/software-switch.js';
import { uplinkMemoryBytes, VfUplink } from '../../src/virtio/vf-uplink.js';
import { Card, MSI_ADDRESS } from '../hardware/nic/card.js';
import type { BenchGuest } from './bench-device.js';

const VF = 3;
const FRAME_BYTES = 1514;
const PF_MAC = '52:54:00:00:0f:00';

export class UplinkBench {
  readonly card = new Card();
  readonly driver: PfDriver;
  readonly uplink: VfUplink;
  readonly switch: SoftwareSwitch;
  readonly engine: NicEngine;
  readonly #far: Wire;
  readonly #cable: readonly [Wire, Wire];

  constructor() {
    const { card } = this;
    resetNic(card.shared, { vfCount: 63, linkSpeedMbps: 0 });
    this.#cable = createCable({ ringBytes: 1 << 22 });
    this.#far = this.#cable[1];
    this.driver = new PfDriver(card.pf, card.config(PF_FUNCTION), {
      vfCount: 63,
      mac: PF_MAC,
      maxFrameBytes: FRAME_BYTES + 4,
      linkSpeedMbps: 10_000,
      msiAddress: MSI_ADDRESS,
    });
    this.driver.bringUp();
    this.engine = new NicEngine({
      shared: card.shared,
      wire: this.#cable[0],
      msi: card.msi,
      clock: card.clock,
    });
    const memory = new SharedArrayBuffer(uplinkMemoryBytes(FRAME_BYTES));
    this.engine.attach(
      VF,
      createDomainHandle(memory, [
        { iovaStart: 0, memoryOffset: 0, bytes: memory.byteLength, writable: true },
      ]),
    );
    card.enableMessages(VF);
    const record = this.driver.vf(VF);
    this.driver.setSpoofCheck(VF, false);
    this.driver.admit(record);
    this.driver.setXcastMode(record, XCAST.allmulti);
    this.uplink = new VfUplink(card.vf(VF), memory, FRAME_BYTES);
    this.engine.step();
    this.uplink.start(() => this.engine.step());
    this.switch = new SoftwareSwitch(this.uplink);
  }

  add(guest: BenchGuest): BenchGuest {
    const { port } = guest;
    this.switch.add(port);
    this.driver.addMacvlan(this.driver.vf(VF), macOfWords(port.macLow, port.macHigh));
    return guest;
  }

  /** Until nothing moves any more. */
  settle(): void {
    for (let idle = 0; idle < 3; ) idle = this.switch.step() + this.engine.step() > 0 ? 0 : idle + 1;
  }

  toWire(frame: Uint8Array): void {
    this.#far.transmit(frame, 0, frame.length);
    this.#far.flush();
  }

  fromWire(): Uint8Array[] {
    const frames: Uint8Array[] = [];
    this.#far.receive((bytes, offset, length) => {
      frames.push(bytes.slice(offset, offset + length));
      return true;
    }, 10_000);
    return frames;
  }

  pullCable(): Promise<void> {
    return this.#far.close();
  }
}
