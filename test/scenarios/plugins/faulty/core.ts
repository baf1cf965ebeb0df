/** SRVM's core, which throws or hangs after some turns when it is told to. */
import type { Core, CoreView, CreateCore } from 'srvm/plugin';
import { createCore as createSrvmCore } from '../../../../plugins/srvm/core.js';

export interface FaultyCoreData {
  readonly data: unknown;
  readonly fault: 'none' | 'throw' | 'hang';
}

/** Past the turns of the start: the migration is in its rounds. */
const GOOD_TURNS = 20;

export const createCore: CreateCore = (view: CoreView, data: unknown): Core => {
  const { data: innerData, fault } = data as FaultyCoreData;
  const core = createSrvmCore(view, innerData);
  let turns = 0;
  const step = core.step.bind(core);
  core.step = () => {
    if (fault !== 'none' && ++turns > GOOD_TURNS) {
      if (fault === 'throw') throw new Error('thrown in its core, as asked for');
      for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
    }
    return step();
  };
  return core;
};
