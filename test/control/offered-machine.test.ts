/** What an offer says of a machine's NICs, which is not believed. */
import { expect, test } from 'vitest';
import { decodeMachine, encodeMachine } from '../../src/control/offered-machine.js';
import { encodePlain } from '../../src/control/plain-cbor.js';

test('a machine without NICs is written as hosts that know of none write it', () => {
  expect(encodeMachine({ netCount: 0, vifCount: 0 })).toEqual(new Uint8Array(0));
  expect(decodeMachine(new Uint8Array(0))).toEqual({ netCount: 0, vifCount: 0 });
});

test('NICs and virtual interfaces come back as they were', () => {
  for (const machine of [
    { netCount: 2, vifCount: 0 },
    { netCount: 3, vifCount: 3 },
  ]) {
    expect(decodeMachine(encodeMachine(machine))).toEqual(machine);
  }
});

test('more than there can be is refused', () => {
  for (const evil of [
    { netCount: 8 },
    { netCount: 1, vifCount: 2 },
    { netCount: -1 },
    { netCount: '1' },
    { netCount: 1, vifCount: 0.5 },
    null,
    [],
  ]) {
    expect(() => decodeMachine(encodePlain(evil)), JSON.stringify(evil)).toThrow('paravirtual NICs');
  }
});
