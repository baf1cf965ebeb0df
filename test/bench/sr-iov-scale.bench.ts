/** One to sixty guests with a VF each on one 10 Gb/s port: total, fairness, memory and CPU. */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadImage } from '../../src/guest/load-image.js';
import { MIN_RAM_BYTES } from '../../src/machine/layout.js';
import { type Benchmark, type BenchRow, rowOf } from '../../src/measure/benchmark.js';
import { measureSharedPort, type SharedPortSample } from '../../src/measure/scale/shared-port.js';

// dist/test/bench -> the repository
const IMAGE = fileURLToPath(
  new URL('../../../guest-images/packet-sink/build/packet-sink.wasm', import.meta.url),
);
const GUESTS = [1, 10, 20, 40, 60] as const;
const ROUNDS = 5;
const WINDOW_MS = 1000;

export const benchmark: Benchmark = {
  name: 'sr-iov-scale',
  what: `packet-sink guests of 16 MiB, a VF each, on one 10 Gb/s port; 1518 B frames to each in turn, as many as the port takes`,
  async run() {
    const image = await loadImage(IMAGE, {
      ramBytes: MIN_RAM_BYTES,
      cacheDir: join(tmpdir(), 'srvm-bench-images'),
    });
    const { samples, megabytesPerGuest } = await measureSharedPort({
      image,
      guests: GUESTS,
      rounds: ROUNDS,
      windowMs: WINDOW_MS,
    });
    const of = (guests: number): SharedPortSample[] => samples.filter((each) => each.guests === guests);
    const alone = of(1);
    const rows: BenchRow[] = [];
    for (const guests of GUESTS) {
      const here = of(guests);
      rows.push(
        rowOf(
          `${guests} guest(s), together, Gb/s`,
          here.map(({ gbps }) => gbps),
        ),
      );
      if (guests === 1) continue;
      rows.push(
        rowOf(
          '  / one alone, in the same round',
          here.map(({ gbps }, round) => gbps / alone[round]!.gbps),
          { atLeast: 0.95 },
        ),
        rowOf(
          "  fairness (Jain's index)",
          here.map(({ fairness }) => fairness),
          { atLeast: 0.95 },
        ),
      );
    }
    rows.push(rowOf('resident memory for each guest added, MB', [megabytesPerGuest], { atMost: 40 }));
    return rows;
  },
};
