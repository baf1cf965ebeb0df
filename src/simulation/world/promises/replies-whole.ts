/** What peers get back from the guest is never corrupt. Frames may be lost: that is the network's right. */
import type { WorldPromise } from './promise.js';

const NAME = 'replies are never corrupt';

export const repliesWhole = (): WorldPromise => ({
  name: NAME,
  afterSettling(world) {
    for (const sentence of world.traffic.complaints().slice(0, 5)) world.broken(NAME, sentence);
  },
  atEnd(world) {
    for (const sentence of world.traffic.complaints().slice(0, 5)) world.broken(NAME, sentence);
  },
});
