/** The arithmetic of a ring's slots. */

export const slotAfter = (slot: number, slots: number): number => (slot + 1 === slots ? 0 : slot + 1);

/** How many slots `from` is behind `to`. */
export const slotsBetween = (from: number, to: number, slots: number): number => (to - from + slots) % slots;
