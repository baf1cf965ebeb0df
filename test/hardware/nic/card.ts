/** A card on the bench: manual clock, recorded messages, and the two sides that access it. */
import type { Clock } from '../../../src/hardware/clock.js';
import { PF_MSIX_BAR, PfBar } from '../../../src/hardware/nic/pf-bar.js';
import { createNicHandle } from '../../../src/hardware/nic/reset.js';
import { NicShared } from '../../../src/hardware/nic/shared.js';
import { VfBar } from '../../../src/hardware/nic/vf-bar.js';
import { ConfigSpace } from '../../../src/hardware/pci/config-space.js';
import type { MsiSink } from '../../../src/hardware/pci/msi.js';
import { COMMAND_MASTER, COMMAND_MEMORY, MSIX_ENABLE, PCI } from '../../../src/hardware/pci/offsets.js';

export class ManualClock implements Clock {
  timeNs = 1_000_000;
  nowNs(): number {
    return this.timeNs;
  }
}

export interface Message {
  requester: number;
  address: number;
  data: number;
}

export class RecordingMsi implements MsiSink {
  messages: Message[] = [];
  deliver(requester: number, addressLow: number, _addressHigh: number, data: number): void {
    this.messages.push({ requester, address: addressLow, data });
  }
  /** Data of the messages since the last call. */
  take(): number[] {
    const taken = this.messages.map((message) => message.data);
    this.messages = [];
    return taken;
  }
}

export const MSI_ADDRESS = 0xfee0_0000;

export class Card {
  readonly shared: NicShared;
  readonly clock = new ManualClock();
  readonly msi = new RecordingMsi();
  readonly pf: PfBar;

  constructor(vfCount = 63) {
    this.shared = new NicShared(createNicHandle(vfCount));
    this.pf = new PfBar(this.shared, this.msi, this.clock);
  }

  vf(index: number): VfBar {
    return new VfBar(this.shared, index, this.msi, this.clock);
  }

  config(functionNumber: number): ConfigSpace {
    return new ConfigSpace(this.shared, functionNumber, this.msi, this.clock);
  }

  /** Bus mastering, MSI-X on, every vector unmasked: vector v of VF f sends f * 16 + v, the PF's 0x1000 + v. */
  enableMessages(functionNumber: number): void {
    const config = this.config(functionNumber);
    const isPf = functionNumber === 63;
    const write = (offset: number, value: number) =>
      isPf ? this.pf.write32(PF_MSIX_BAR, offset, value) : this.vf(functionNumber).write32(3, offset, value);
    for (let vector = 0; vector < 3; vector++) {
      write(vector * 16, MSI_ADDRESS);
      write(vector * 16 + 8, (isPf ? 0x1000 : functionNumber * 16) + vector);
      write(vector * 16 + 12, 0);
    }
    config.write32(PCI.COMMAND, COMMAND_MEMORY | COMMAND_MASTER);
    config.write32(PCI.MSIX, MSIX_ENABLE);
  }
}
