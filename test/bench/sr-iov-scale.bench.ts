/**
 * One to sixty guests with a VF each on one port: total, fairness and memory.
 *
 * Every vCPU verifies every packet, and each frame goes to another guest than the one before: the worst case. What sixty reach
 * together is CPU time a packet times packets against the cores there are, so that is printed beside it. The slower ports are
 * those that two cores keep full more easily.
 *
 * Only a machine with nothing else to do tells the ratio: the few threads of one guest alone lose more to a stranger than
 * sixty guests' do. Then a ratio above 1 stands beside a low row of one alone, and says nothing.
 */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadImage } from '../../src/guest/load-image.js';
import type { LoadedImage } from '../../src/guest/loaded-image.js';
import { MIN_RAM_BYTES } from '../../src/machine/layout.js';
import { type Benchmark, type BenchRow, rowOf } from '../../src/measure/benchmark.js';
import {
  type CardAheadSample,
  measureSharedPort,
  type SharedPortSample,
} from '../../src/measure/scale/shared-port.js';

// dist/test/bench -> the repository
const IMAGE = fileURLToPath(
  new URL('../../../guest-images/packet-sink/build/packet-sink.wasm', import.meta.url),
);
const GUESTS = [1, 10, 20, 40, 60] as const;
/** As the card counts octets: with the CRC. */
const PACKET_BITS = 1518 * 8;
const ROUNDS = 5;
const WINDOW_MS = 1000;
const PORTS_MBPS = [10_000, 2_000, 1_000] as const;

/** Rows of one port, and what each guest that was added weighed. */
async function rowsOf(image: LoadedImage, linkMbps: number): Promise<BenchRow[]> {
  const { samples, cardAhead, megabytesPerGuest } = await measureSharedPort({
    image,
    guests: GUESTS,
    rounds: ROUNDS,
    windowMs: WINDOW_MS,
    linkMbps,
    itr: { kind: 'adaptive' },
  });
  const of = (guests: number): SharedPortSample[] => samples.filter((each) => each.guests === guests);
  const alone = of(1);
  const rows = GUESTS.flatMap((guests): BenchRow[] => {
    const here = of(guests);
    const title = `${linkMbps / 1000} Gb/s port, ${guests} guest(s), together, Gb/s`;
    const together = rowOf(
      title,
      here.map(({ gbps }) => gbps),
    );
    if (guests === 1) return [together];
    return [
      together,
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
      rowOf(
        '  CPU us a packet, all threads',
        here.map(({ cores, gbps }) => cores / ((gbps * 1e3) / PACKET_BITS)),
      ),
    ];
  });
  return [
    ...rows,
    rowOf('  resident memory for each guest added, MB', [megabytesPerGuest], { atMost: 40 }),
    rowOf(
      "  share of the CPU that the runtime's compilers took",
      samples.map(({ runtimeShare }) => runtimeShare),
    ),
    ...cardAheadRows(cardAhead, alone),
  ];
}

/** Against the most that one alone took in the same round, with or without. */
function cardAheadRows(
  cardAhead: readonly CardAheadSample[],
  alone: readonly SharedPortSample[],
): BenchRow[] {
  if (cardAhead.length === 0) return [];
  const ratios = cardAhead.map(
    ({ fewest, most }, round) => most.gbps / Math.max(fewest.gbps, alone[round]!.gbps),
  );
  return [
    rowOf(
      "  60 guests, the card's thread ahead of theirs (nice -10), Gb/s",
      cardAhead.map(({ most }) => most.gbps),
    ),
    rowOf('  / one alone, ahead or not, in the same round', ratios, { atLeast: 0.95 }),
  ];
}

export const benchmark: Benchmark = {
  name: 'sr-iov-scale',
  what: 'packet-sink guests of 16 MiB, a VF each, on one port; 1518 B frames to each in turn, as many as the port takes',
  async run() {
    const image = await loadImage(IMAGE, {
      ramBytes: MIN_RAM_BYTES,
      cacheDir: join(tmpdir(), 'srvm-bench-images'),
    });
    const rows: BenchRow[] = [];
    for (const linkMbps of PORTS_MBPS) rows.push(...(await rowsOf(image, linkMbps)));
    return rows;
  },
};
