/**
 * A card without an engine and without threads: PF driver and mailbox service on one side, a VF driver's half of the
 * mailbox on the other, called in turn.
 */
import type { Clock } from '../../src/hardware/clock.js';
import { VFMAILBOX } from '../../src/hardware/nic/mailbox.js';
import { VF, VFCTRL_RST } from '../../src/hardware/nic/offsets.js';
import { PfBar } from '../../src/hardware/nic/pf-bar.js';
import { createNicHandle } from '../../src/hardware/nic/reset.js';
import { NicShared } from '../../src/hardware/nic/shared.js';
import { VfBar } from '../../src/hardware/nic/vf-bar.js';
import { ConfigSpace } from '../../src/hardware/pci/config-space.js';
import { PF_FUNCTION } from '../../src/hardware/pci/offsets.js';
import { MailboxService } from '../../src/hypervisor/mailbox-service.js';
import { PfDriver, type PfDriverOptions } from '../../src/hypervisor/pf-driver.js';

export const PF_MAC = '52:54:00:00:0f:00';
export const MAC = '52:54:00:00:00:01';

export class PfRig {
  readonly shared: NicShared;
  readonly driver: PfDriver;
  readonly service: MailboxService;
  readonly bar: PfBar;
  /** Requesters of the messages that were sent. */
  readonly messages: number[] = [];
  readonly #msi = { deliver: (requester: number) => void this.messages.push(requester) };
  readonly #clock: Clock = { nowNs: () => 0 };

  constructor(options: Partial<PfDriverOptions> = {}) {
    this.shared = new NicShared(createNicHandle(options.vfCount ?? 8));
    this.bar = new PfBar(this.shared, this.#msi, this.#clock);
    const config = new ConfigSpace(this.shared, PF_FUNCTION, this.#msi, this.#clock);
    this.driver = new PfDriver(this.bar, config, {
      vfCount: 8,
      mac: PF_MAC,
      maxFrameBytes: 1518,
      linkSpeedMbps: 10_000,
      msiAddress: 0xfee0_0000,
      ...options,
    });
    this.service = new MailboxService(this.driver);
    this.driver.bringUp();
  }

  pf(offset: number): number {
    return this.bar.read32(0, offset);
  }

  vf(vf: number): GuestMailbox {
    return new GuestMailbox(this, new VfBar(this.shared, vf, this.#msi, this.#clock));
  }

  /** A VF driver's first steps, up to API 1.4. */
  admitted(vf: number, mac: string = MAC): GuestMailbox {
    this.driver.assignMac(vf, mac, false);
    const guest = this.vf(vf);
    guest.reset();
    guest.ask(1);
    guest.ask(8, 5);
    return guest;
  }
}

/** A VF driver's half of the mailbox, as the stock one uses it. */
export class GuestMailbox {
  readonly bar: VfBar;
  readonly #rig: PfRig;

  constructor(rig: PfRig, bar: VfBar) {
    this.#rig = rig;
    this.bar = bar;
  }

  reset(): void {
    this.bar.write32(0, VF.CTRL, VFCTRL_RST);
    this.#rig.service.service();
  }

  post(...words: number[]): void {
    this.bar.write32(0, VF.MAILBOX, VFMAILBOX.VFU);
    words.forEach((word, i) => {
      this.bar.write32(0, VF.MBMEM + 4 * i, word);
    });
    this.bar.write32(0, VF.MAILBOX, VFMAILBOX.REQ);
  }

  /** The reply's words, or null when there is none. */
  take(): number[] | null {
    if ((this.bar.read32(0, VF.MAILBOX) & VFMAILBOX.PFSTS) === 0) return null;
    this.bar.write32(0, VF.MAILBOX, VFMAILBOX.VFU);
    const words = Array.from({ length: 16 }, (_, i) => this.bar.read32(0, VF.MBMEM + 4 * i));
    this.bar.write32(0, VF.MAILBOX, VFMAILBOX.ACK);
    return words;
  }

  /** Sends a message and returns the reply; throws when there is none. */
  ask(...words: number[]): number[] {
    this.post(...words);
    this.#rig.service.service();
    const reply = this.take();
    if (reply === null) throw new Error(`no reply to message 0x${words[0]!.toString(16)}`);
    this.#rig.service.service();
    return reply;
  }
}
