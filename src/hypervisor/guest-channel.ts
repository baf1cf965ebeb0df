/** What a VF's driver and the PF driver say to each other beyond the card's own protocol (vendor-requests.ts). */
import type { Nic } from './nic.js';

export interface GuestChannel {
  /** The last message of that type that the driver sent since it reset its VF, 16 words; null: none. */
  lastMessage(type: number): readonly number[] | null;
  /** Resolves with the words of the driver's answer. @throws GuestSilentError */
  request(words: readonly number[], limitMs?: number): Promise<readonly number[]>;
}

/** How long a guest's driver may take to answer, unless the caller has an opinion. */
const GUEST_ANSWER_MS = 1000;

export function guestChannel(nic: Nic, vf: number): GuestChannel {
  return {
    lastMessage: (type) => {
      // one that waits in the mailbox counts
      nic.serviceMailboxes();
      return nic.driver.vf(vf).vendorMessages.get(type) ?? null;
    },
    request: (words, limitMs = GUEST_ANSWER_MS) => nic.askVfDriver(vf, words, limitMs),
  };
}
