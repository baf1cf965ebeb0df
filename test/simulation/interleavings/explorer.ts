/** Explores interleavings of a scene, seed by seed: a thread for each actor, one of them at a time (turnstile.ts). */
import { Worker } from 'node:worker_threads';
import { seededRandom } from '../../../src/hardware/clock.js';
import type { Plantable } from '../planted/plant.js';
import type { ActorOrder, Part, Report } from './actor.js';
import { TO_ALL } from './frames.js';
import { createScene, mayLose, PEER, type Scene, type SceneOptions } from './scene.js';
import { createTurnstile, OVER, Turnstile } from './turnstile.js';

const MAX_POINTS = 400_000;
/** How likely a turn ends at a point. */
const CHANCES = [0.9, 0.9, 0.5, 0.1, 0.02] as const;
/** How often an actor's turn comes, against the others': one that lags sees the others do much between two of its looks. */
const WEIGHTS = [1, 16] as const;
/** How much time passes from point to point: how long a wait is, in what others do meanwhile. */
const POINT_NS = [30, 300, 2000] as const;

export interface Explored {
  readonly complaints: readonly string[];
  /** Of whose turn it was, when. */
  readonly hash: number;
  readonly points: number;
  readonly received: number;
  readonly rests: number;
}

export class Explorer {
  readonly #fault: Plantable | null;
  readonly #workers: Worker[] = [];

  constructor(fault: Plantable | null = null) {
    this.#fault = fault;
  }

  async run(seed: number, options: SceneOptions): Promise<Explored> {
    const parts = partsOf(options);
    while (this.#workers.length < parts.length) this.#addWorker();
    const { nextU32, ...drawn } = draw(seed, parts.length);
    const scene = createScene(options);
    const buffer = createTurnstile({ seed, actors: parts.length, maxPoints: MAX_POINTS, ...drawn });
    const turnstile = new Turnstile(buffer, 0);
    const { isLeisurely } = drawn;
    await Promise.all(
      parts.map((part, me) => {
        const order: ActorOrder = { part, me, seed: nextU32(), scene, isLeisurely, turnstile: buffer };
        return ask<string>(this.#workers[me]!, order);
      }),
    );
    const reports = parts.map((_, me) => answer<Report>(this.#workers[me]!));
    turnstile.begin();
    return judge(scene, parts, turnstile, await Promise.all(reports));
  }

  #addWorker(): void {
    const entry = new URL('./actor.js', import.meta.url);
    this.#workers.push(new Worker(entry, { workerData: { fault: this.#fault } }));
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }
}

function partsOf({ server, cores, guests }: SceneOptions): Part[] {
  return [
    ...Array.from({ length: guests }, (_, guest): Part => ({ kind: 'guest', guest })),
    ...Array.from({ length: server === 'device' ? cores : 1 }, (_, core): Part => ({ kind: 'server', core })),
    { kind: 'peer' },
  ];
}

function draw(seed: number, actors: number) {
  const { nextU32 } = seededRandom(seed);
  const pick = <T>(list: readonly T[]): T => list[nextU32() % list.length]!;
  const chance = pick(CHANCES);
  const weights = Array.from({ length: actors }, () => pick(WEIGHTS));
  const pointNs = pick(POINT_NS);
  return { nextU32, chance, weights, pointNs, isLeisurely: nextU32() % 2 === 0 };
}

function judge(
  scene: Scene,
  parts: readonly Part[],
  turnstile: Turnstile,
  reports: readonly Report[],
): Explored {
  const complaints = reports.flatMap((report) => report.complaints);
  if (turnstile.over === OVER.limit) complaints.push(`it goes on after ${MAX_POINTS} points`);
  if (!mayLose(scene)) {
    const missed = Math.max(...reports.map((report) => report.missed ?? 0));
    if (missed > 0) complaints.push(`the device dropped ${missed} frames`);
    complaints.push(...lostFrames(parts, reports));
  }
  return {
    complaints,
    hash: turnstile.hash,
    points: turnstile.points,
    received: reports.reduce((sum, { received }) => sum + count(received), 0),
    rests: reports.reduce((sum, { rests }) => sum + rests, 0),
  };
}

/** Streams that did not come whole to whoever they were for. */
function lostFrames(parts: readonly Part[], reports: readonly Report[]): string[] {
  const lost: string[] = [];
  for (const [stream, sent] of reports.flatMap((report) => Object.entries(report.sent))) {
    const [from, to] = stream.split('>').map(Number) as [number, number];
    for (const [me, part] of parts.entries()) {
      const station = part.kind === 'guest' ? part.guest + 1 : PEER;
      if (part.kind === 'server' || station === from || (to !== TO_ALL && to !== station)) continue;
      const received = reports[me]!.received[stream] ?? 0;
      if (received !== sent) lost.push(`${station} got ${received} of ${sent} frames of ${stream}`);
    }
  }
  return lost;
}

const count = (streams: Readonly<Record<string, number>>): number =>
  Object.values(streams).reduce((sum, each) => sum + each, 0);

function answer<T>(worker: Worker): Promise<T> {
  return new Promise((resolve, reject) => {
    const answered = (value: T): void => {
      worker.off('error', failed);
      resolve(value);
    };
    const failed = (error: Error): void => {
      worker.off('message', answered);
      reject(error);
    };
    worker.once('message', answered);
    worker.once('error', failed);
  });
}

function ask<T>(worker: Worker, order: ActorOrder): Promise<T> {
  const answered = answer<T>(worker);
  worker.postMessage(order);
  return answered;
}
