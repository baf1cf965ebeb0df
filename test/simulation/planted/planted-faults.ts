/**
 * Faults that a migration could have, as edits of the compiled code: what each breaks, and where. A seed must find each of
 * them (planted.test.ts), or the simulator does not look where it should. Nothing in the code itself knows of them.
 */
import type { FaultKinds, SimulationOptions } from '../../../src/simulation/world/simulate.js';

export interface PlantedEdit {
  /** Under dist/. */
  readonly file: string;
  /** Found exactly once in that file. */
  readonly find: string;
  readonly replace: string;
}

export interface PlantedFault {
  readonly name: string;
  /** One sentence: what the code now does wrong. */
  readonly breaks: string;
  readonly edits: readonly PlantedEdit[];
  /** Where it can show; the seed's choice when left out. */
  readonly mode?: 'scan' | 'shadow-doorbell';
  /** Which faults the seeds add. */
  readonly faults: FaultKinds;
  /** The promises that it breaks, by name. What else a seed may break says nothing of it. */
  readonly breaksPromises: readonly string[];
  /**
   * Where it takes many seeds: the first that found it when this was written. A hunt that may begin with it is short; once
   * it no longer finds it, all are gone through, and the test names the one to put here.
   */
  readonly foundBy?: number;
}

const PAGES_LOST = ['no page is lost', 'every DMA write is marked'];
const GUEST_COMPLAINS = 'the guest has no complaints';

/** What takes most seeds comes first: two are hunted for at a time. */
export const PLANTED_FAULTS: readonly PlantedFault[] = [
  {
    name: 'a checksum not verified',
    breaks: 'the destination takes a frame whose bytes were damaged on the way',
    edits: [{ file: 'src/migration/stream/decoder.js', find: 'this.#checkSums(frameBytes);', replace: '' }],
    faults: ['net'],
    breaksPromises: PAGES_LOST,
    foundBy: 120,
  },
  {
    name: 'marks before completion',
    breaks: "the tracker marks a buffer's page when it is posted, not when the device has written it",
    edits: [
      {
        file: 'plugins/srvm/posted-table.js',
        find: `            this.#rememberHeaders(from, to);
    }`,
        replace: `            this.#rememberHeaders(from, to);
        this.#mark(from, to);
    }`,
      },
      {
        file: 'plugins/srvm/posted-table.js',
        find: `        if (from === to)
            return;`,
        replace: `        this.descriptors += this.distance(from, to);
        if (this.descriptors >= 0)
            return;`,
      },
    ],
    faults: [],
    breaksPromises: PAGES_LOST,
  },
  {
    name: 'no pass after quiesce',
    breaks: 'the tracker looks no more once the device was stopped',
    edits: [
      {
        file: 'plugins/srvm/core.js',
        find: 'const frozen = Atomics.load(this.#view.shared, FROZEN) !== 0;',
        replace: `const frozen = Atomics.load(this.#view.shared, FROZEN) !== 0;
        if (frozen)
            return 0;`,
      },
    ],
    faults: [],
    breaksPromises: PAGES_LOST,
  },
  {
    name: 'no lap detection',
    breaks: 'scan takes a head that may have gone round for one that has not',
    edits: [
      {
        file: 'plugins/srvm/scan-core.js',
        find: "return lapped ? 'lapped' : 'followed';",
        replace: "return lapped ? 'followed' : 'followed';",
      },
      {
        file: 'plugins/srvm/scanned-queue.js',
        find: 'return (this.passed === 0 || this.passed < this.known) && this.#probesHold(head);',
        replace: 'return this.passed >= 0 || this.#probesHold(head);',
      },
      {
        file: 'plugins/srvm/scanned-queue.js',
        find: 'if (this.known - this.passed + fresh >= table.slots)',
        replace: 'if (fresh < 0)',
      },
    ],
    mode: 'scan',
    faults: ['sched'],
    breaksPromises: PAGES_LOST,
    foundBy: 13,
  },
  {
    name: 'harvest clears after the copy',
    breaks:
      "the tracker's marks are taken without clearing them; they are cleared when their pages were copied",
    edits: [
      {
        file: 'src/plugin/host.js',
        find: 'const pages = this.#map.harvest(into);',
        replace: `const marks = new Uint8Array(this.#dirty, 0, this.#map.pages);
        for (const page of this.copied ?? [])
            marks[page] = 0;
        this.copied = [...marks.keys()].filter((page) => marks[page] !== 0);
        for (const page of this.copied)
            into[page] = 1;
        const pages = this.copied.length;`,
      },
    ],
    faults: [],
    breaksPromises: PAGES_LOST,
  },
  {
    name: 'activation before commitment',
    breaks: 'the destination lets the guest run as soon as it is restored',
    edits: [
      {
        file: 'src/migration/destination.js',
        find: "const commit = await this.#step('waiting for COMMIT'",
        replace: `if (offer.startRunning)
            await vm.resume();
        const commit = await this.#step('waiting for COMMIT'`,
      },
    ],
    faults: ['net', 'cancel'],
    breaksPromises: ['one VM runs at most'],
  },
  {
    name: 'resume after commitment',
    breaks: 'a source that hears nothing after COMMIT goes on with the guest',
    edits: [
      {
        file: 'src/migration/source.js',
        find: `        if (unknown)
            vm.retire('outcome-unknown');`,
        replace: `        if (unknown)
            await vm.resume();`,
      },
    ],
    faults: ['net', 'crash', 'sched'],
    breaksPromises: ['one VM runs at most'],
  },
  {
    name: 'statistics without the offset',
    breaks: "the destination's counters begin at zero",
    edits: [
      {
        file: 'src/plugin/vf82599/restore.js',
        find: "    restoreStatistics(context, fields.record('statistics'));\n",
        replace: '',
      },
    ],
    faults: [],
    breaksPromises: [GUEST_COMPLAINS],
  },
  {
    name: 'an interrupt dropped by restore',
    breaks: 'causes that were pending at the source are not raised at the destination',
    edits: [
      {
        file: 'src/plugin/vf82599/restore.js',
        find: '    context.bar0.write32(REG.VTEICS, causes & 7);\n',
        replace: '',
      },
    ],
    faults: [],
    breaksPromises: ['every interrupt arrives', GUEST_COMPLAINS],
  },
  {
    name: 'a lost disable and enable',
    breaks:
      'shadow-doorbell carries over a disable that it sees, but not a ring that was programmed between two looks',
    edits: [
      {
        file: 'plugins/srvm/relayed-queue.js',
        find: "if (this.#state !== 'off' && (!wantsOn || this.#ringDiffers()))",
        replace: "if (this.#state !== 'off' && !wantsOn)",
      },
    ],
    mode: 'shadow-doorbell',
    faults: [],
    breaksPromises: [GUEST_COMPLAINS, 'the guest goes on', ...PAGES_LOST],
    foundBy: 11,
  },
  {
    name: 'a page of the Tx ring not marked',
    breaks: "the last page of a Tx ring is left out when the device has written to the ring's pages",
    edits: [
      {
        file: 'plugins/srvm/tx-watch.js',
        find: 'dirty.markRange(this.#base, this.#ringBytes);',
        replace: 'dirty.markRange(this.#base, this.#ringBytes - 4096);',
      },
    ],
    faults: [],
    breaksPromises: PAGES_LOST,
    foundBy: 131,
  },
  {
    name: 'off by one at the last page',
    breaks: "the last page of guest RAM is never among a dirty map's",
    edits: [
      {
        file: 'src/machine/dirty-map.js',
        find: 'page + b >= this.pages)',
        replace: 'page + b >= this.pages - 1)',
      },
    ],
    faults: [],
    breaksPromises: PAGES_LOST,
    foundBy: 13,
  },
];

/** What a hunt for the fault runs for one seed. */
export const simulationOf = ({ faults, mode }: PlantedFault, seed: number): SimulationOptions => ({
  seed,
  faults,
  ...(mode && { mode }),
});
