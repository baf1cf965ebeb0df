import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { loadImage } from '../../../src/guest/load-image.js';
import { MIN_RAM_BYTES } from '../../../src/machine/layout.js';
import { jainIndex, measureSharedPort } from '../../../src/measure/scale/shared-port.js';

// dist/test/measure/scale -> the repository
const SINK = fileURLToPath(
  new URL('../../../../guest-images/packet-sink/build/packet-sink.wasm', import.meta.url),
);

it('counts evenness from all alike to one has it all', () => {
  expect(jainIndex([5, 5, 5, 5])).toBe(1);
  expect(jainIndex([8, 0, 0, 0])).toBe(0.25);
  expect(jainIndex([3, 1])).toBeCloseTo(0.8);
  expect(jainIndex([0, 0])).toBe(0);
});

it('sends to one guest and to all, and counts what each took', async () => {
  const image = await loadImage(SINK, {
    ramBytes: MIN_RAM_BYTES,
    cacheDir: join(tmpdir(), 'srvm-test-images'),
  });
  const { samples, megabytesPerGuest } = await measureSharedPort({
    image,
    guests: [1, 3],
    rounds: 2,
    windowMs: 1000,
    framesPerS: 20_000,
  });
  expect(samples.map(({ guests }) => guests)).toEqual([1, 3, 1, 3]);
  for (const { gbps, fairness, cores, guests } of samples) {
    expect(gbps).toBeGreaterThan(0);
    // one guest's traffic is not the others'
    expect(fairness).toBeGreaterThan(guests === 1 ? 0.999 : 0.4);
    expect(cores).toBeGreaterThan(0);
  }
  expect(megabytesPerGuest).toBeGreaterThan(0);
}, 240_000);
