/**
 * The two contexts that the card keeps for each Tx queue: what a packet needs, and whether it has to be said again. What
 * was said once is relied on for the rest of a burst, so a card that forgets it sends wrong frames.
 */
import { CONTEXT_IPV4, L4_TYPE, TX_TYPE } from '../../../hardware/nic/descriptors.js';
import { GUEST_VLAN, HEADER } from '../frame-format.js';
import type { GuestState } from './state.js';

const ADVANCED = 1 << 29;
const IP_BYTES = 20;
const TCP_BYTES = HEADER.tcp - HEADER.ipv4;
const MAC_LENGTH_SHIFT = 9;
const VLAN_SHIFT = 16;
const TYPE_SHIFT = 20;
const L4_TYPE_SHIFT = 11;
const INDEX_SHIFT = 4;
const L4_LENGTH_SHIFT = 8;
const SEGMENT_SHIFT = 16;
const CONTEXTS = 2;
const WORDS = 3;

export interface ContextNeed {
  readonly tcp: boolean;
  readonly tagged: boolean;
  /** Payload bytes of a segment; 0: the packet is not cut. */
  readonly segmentBytes: number;
}

export interface ContextChoice {
  readonly index: number;
  /** To be posted before the packet; null: the card has it. */
  readonly descriptor: readonly [number, number, number, number] | null;
}

export class TxContexts {
  readonly #state: GuestState;
  readonly #queue: number;

  constructor(state: GuestState, queue: number) {
    this.#state = state;
    this.#queue = queue;
  }

  /** From here on each has to be said again. */
  forget(): void {
    for (let i = 0; i < CONTEXTS * WORDS; i++) this.#state.setQueue('tx', this.#queue, 'contexts', 0, i);
  }

  choose(need: ContextNeed): ContextChoice {
    const index = this.#state.int(CONTEXTS);
    const words = wordsOf(need, index);
    if (this.#has(index, words) && this.#state.chance(0.8)) return { index, descriptor: null };
    words.forEach((word, i) => {
      this.#state.setQueue('tx', this.#queue, 'contexts', word, index * WORDS + i);
    });
    return { index, descriptor: [words[0], 0, words[1], words[2]] };
  }

  #has(index: number, words: readonly number[]): boolean {
    return words.every(
      (word, i) => this.#state.queue('tx', this.#queue, 'contexts', index * WORDS + i) === word,
    );
  }
}

function wordsOf(
  { tcp, tagged, segmentBytes }: ContextNeed,
  index: number,
): readonly [number, number, number] {
  const lengths = IP_BYTES | (HEADER.raw << MAC_LENGTH_SHIFT) | (tagged ? GUEST_VLAN << VLAN_SHIFT : 0);
  const l4 = (tcp ? L4_TYPE.tcp : L4_TYPE.udp) << L4_TYPE_SHIFT;
  const type = CONTEXT_IPV4 | l4 | (TX_TYPE.context << TYPE_SHIFT) | ADVANCED;
  const segments = tcp ? (TCP_BYTES << L4_LENGTH_SHIFT) | (segmentBytes << SEGMENT_SHIFT) : 0;
  return [lengths, type, (index << INDEX_SHIFT) | segments];
}
