/** The main thread's end of a dialogue with a worker: answers, failures, the end. */
import { beforeEach, describe, expect, it } from 'vitest';
import { WorkerDialogue, type WorkerEnd } from '../../src/hypervisor/worker-dialogue.js';
import type { WorkerCommand } from '../../src/hypervisor/worker-messages.js';

interface Turn {
  readonly kind: 'turn';
  readonly id: number;
  readonly degrees: number;
}

class WorkerError extends Error {
  readonly end: WorkerEnd;

  constructor(end: WorkerEnd) {
    super(end.kind === 'failed' ? end.message : end.kind);
    this.end = end;
  }
}

describe('a dialogue with a worker', () => {
  let posted: WorkerCommand<Turn>[];
  let failures: [WorkerError, WorkerEnd][];
  let dialogue: WorkerDialogue<Turn, { turns: number }, WorkerError>;

  beforeEach(() => {
    posted = [];
    failures = [];
    dialogue = new WorkerDialogue({
      post: (command) => posted.push(command),
      errorOf: (end) => new WorkerError(end),
      onFailure: (error, end) => failures.push([error, end]),
    });
  });

  const turn = (degrees: number) => dialogue.ask((id) => ({ kind: 'turn', id, degrees }));
  const idOf = (index: number): number => (posted[index] as Turn).id;

  it('takes answers in any order', async () => {
    const asked = [turn(90), turn(180), turn(270)];
    expect(posted).toMatchObject([{ degrees: 90 }, { degrees: 180 }, { degrees: 270 }]);
    const order: number[] = [];
    asked.forEach((each, index) => void each.then(() => order.push(index)));
    for (const index of [2, 0, 1]) dialogue.onReply({ kind: 'done', id: idOf(index) });
    expect(await Promise.all(asked)).toEqual([0, 1, 2].map((index) => ({ kind: 'done', id: idOf(index) })));
    expect(order).toEqual([2, 0, 1]);
  });

  it('takes no notice of answers to nothing, nor of a second one', async () => {
    const asked = turn(90);
    dialogue.onReply({ kind: 'done', id: idOf(0) + 7 });
    dialogue.onReply({ kind: 'done', id: idOf(0) });
    dialogue.onReply({ kind: 'done', id: idOf(0) });
    expect(await asked).toEqual({ kind: 'done', id: idOf(0) });
    expect(dialogue.hasFailed).toBe(false);
  });

  it("asks for the worker's figures", async () => {
    const stats = dialogue.stats();
    expect(posted).toEqual([{ kind: 'stat', id: 1 }]);
    dialogue.onReply({ kind: 'stat', id: 1, stats: { turns: 3 } });
    expect(await stats).toEqual({ turns: 3 });
    const wrong = dialogue.stats();
    dialogue.onReply({ kind: 'done', id: 2 });
    await expect(wrong).rejects.toThrow("'done' in answer to 'stat'");
    // the answer made no sense; the worker may be well
    expect(dialogue.hasFailed).toBe(false);
  });

  it('is ready when the worker says so', async () => {
    dialogue.onReply({ kind: 'ready' });
    await dialogue.ready;
    dialogue.onExit();
    // what came to be is not taken back
    await dialogue.ready;
  });

  const ends: [string, WorkerEnd, () => void][] = [
    [
      'says that it failed',
      { kind: 'failed', message: 'no wire' },
      () => dialogue.onReply({ kind: 'failed', message: 'no wire' }),
    ],
    ['throws', { kind: 'died', cause: new Error('oh') }, () => dialogue.onError(new Error('oh'))],
    ['ends', { kind: 'ended' }, () => dialogue.onExit()],
  ];

  it.each(ends)('a worker that %s is not ready, and answers nothing any more', async (_, end, happen) => {
    const asked = [turn(90), turn(180)];
    happen();
    const [error] = failures[0]!;
    expect(error.end).toEqual(end);
    expect(failures).toEqual([[error, end]]);
    expect(dialogue.hasFailed).toBe(true);
    await expect(dialogue.ready).rejects.toBe(error);
    for (const each of asked) await expect(each).rejects.toBe(error);
    await expect(turn(270)).rejects.toBe(error);
    await expect(dialogue.stats()).rejects.toBe(error);
    expect(posted.length).toBe(2);
  });

  it('tells of the first failure only', async () => {
    dialogue.onReply({ kind: 'failed', message: 'no wire' });
    dialogue.onError(new Error('oh'));
    dialogue.onExit();
    expect(failures.map(([, end]) => end.kind)).toEqual(['failed']);
    await expect(turn(90)).rejects.toThrow('no wire');
    await dialogue.exited;
  });

  it('stops the worker, and waits until it is gone', async () => {
    let gone = false;
    const stopped = dialogue.stop().then(() => {
      gone = true;
    });
    expect(posted).toEqual([{ kind: 'stop' }]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(gone).toBe(false);
    dialogue.onExit();
    await stopped;
    await dialogue.stop();
    expect(posted.length).toBe(1);
  });
});
