/** What the main thread and the vCPU's thread share: typed bytes, the devices' state, the dirty log. */
import { describe, expect, it } from 'vitest';
import { CTRL, MIN_RAM_BYTES, VCPU_STATE } from '../../../src/machine/layout.js';
import { controlWords } from '../../../src/machine/memory.js';
import { createRv64Memory, rv64LayoutFor } from '../../../src/rv64/cpu/layout.js';
import { DIRTY_ACKNOWLEDGED, DIRTY_GENERATION } from '../../../src/rv64/cpu/wasm/offsets.js';
import { DirtyLogError, Rv64DirtyLog } from '../../../src/rv64/machine/dirty-log.js';
import { StateArea } from '../../../src/rv64/machine/state-area.js';
import { MachineStateError } from '../../../src/rv64/machine/state-fields.js';
import { TerminalInput } from '../../../src/rv64/machine/terminal-input.js';

const layout = rv64LayoutFor(MIN_RAM_BYTES);
const fresh = () => {
  const memory = createRv64Memory(layout);
  return { memory, control: controlWords(memory, layout.machine) };
};

describe('typed bytes', () => {
  it('arrive once, in order, as many as there is room for', () => {
    const { memory } = fresh();
    const [main, vcpu] = [
      new TerminalInput(memory, layout.machine),
      new TerminalInput(memory, layout.machine),
    ];
    for (let round = 0; round < 10; round++) {
      expect(main.write(Buffer.alloc(300, round))).toBe(300);
      expect(main.write(Buffer.alloc(300, 99))).toBe(212);
      expect(vcpu.read()).toEqual(new Uint8Array([...Buffer.alloc(300, round), ...Buffer.alloc(212, 99)]));
      expect(vcpu.read().length).toBe(0);
    }
  });

  it('survive a guest that writes the control page', () => {
    const { memory, control } = fresh();
    const input = new TerminalInput(memory, layout.machine);
    control[CTRL.globals + 1] = 12345;
    expect(input.write(Uint8Array.of(1))).toBe(0);
    expect(input.read().length).toBe(0);
    expect(input.write(Uint8Array.of(1))).toBe(1);
  });
});

describe('the devices’ state', () => {
  it('is taken only when it was put there', () => {
    const { memory } = fresh();
    const area = new StateArea(memory, layout.machine);
    area.leave({ a: Uint8Array.of(1) });
    expect(area.take()).toBeNull();
    area.leave({ a: Uint8Array.of(2) });
    area.put(area.bytes());
    expect(area.take()).toEqual({ a: Uint8Array.of(2) });
    expect(area.take()).toBeNull();
    area.put(Buffer.from('{'));
    expect(() => area.take()).toThrow(MachineStateError);
  });
});

describe('the dirty log', () => {
  it('waits for a running vCPU to begin anew, and not for one that stands still', () => {
    const { memory, control } = fresh();
    const words = new Int32Array(memory.buffer, layout.cpuOffset, 1024);
    let waits = 0;
    const log = new Rv64DirtyLog(memory, layout, () => {
      if (++waits === 3) words[DIRTY_ACKNOWLEDGED / 4] = words[DIRTY_GENERATION / 4]!;
    });
    const into = new Uint8Array(layout.machine.ramPages);
    log.mark(5 as never);
    control[CTRL.state] = VCPU_STATE.paused;
    expect([log.harvest(into), into[5], waits]).toEqual([1, 1, 0]);
    control[CTRL.state] = VCPU_STATE.running;
    expect(log.harvest(into)).toBe(0);
    expect(waits).toBe(3);
    expect(control[CTRL.attention]).toBe(1);
  });

  it('gives up on a vCPU that never answers', () => {
    const { memory, control } = fresh();
    control[CTRL.state] = VCPU_STATE.running;
    const log = new Rv64DirtyLog(memory, layout, () => {});
    expect(() => log.harvest(new Uint8Array(layout.machine.ramPages))).toThrow(DirtyLogError);
  });
});
