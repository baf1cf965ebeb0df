/**
 * What peers get back from the guest is never corrupt. Frames may be lost: that is the network's right. A tracker that says
 * that it could not move what the card keeps for sending has said it: a driver that relies on that sends wrong frames.
 */
import type { World } from '../world.js';
import type { WorldPromise } from './promise.js';

const NAME = 'replies are never corrupt';
const SAID = /Tx queue \d+ .*context/;

export function repliesWhole(): WorldPromise {
  const look = (world: World): void => {
    if (world.notes.some((note) => SAID.test(note))) return;
    for (const sentence of world.traffic.complaints().slice(0, 5)) world.broken(NAME, sentence);
  };
  return { name: NAME, afterSettling: look, atEnd: look };
}
