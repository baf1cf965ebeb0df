/** Messages find the VM that they belong to, and nothing else. */
import { describe, expect, it } from 'vitest';
import { InterruptRemap } from '../../src/hypervisor/interrupt-remap.js';
import { CONTROL_BYTES, CTRL } from '../../src/machine/layout.js';

const ADDRESS = 0xfee0_0000;

function vmTarget() {
  const memory = new SharedArrayBuffer(2 * CONTROL_BYTES);
  const control = new Int32Array(memory, CONTROL_BYTES);
  return { control, target: { kind: 'vm', memory, controlOffset: CONTROL_BYTES } as const };
}

describe('interrupt remapping', () => {
  it('sets the line of the VM that the requester is routed to', () => {
    const a = vmTarget();
    const b = vmTarget();
    const remap = new InterruptRemap([
      { requester: 1, target: a.target },
      { requester: 2, target: b.target },
    ]);
    remap.deliver(1, ADDRESS, 0, 0);
    remap.deliver(2, ADDRESS, 0, 31);
    expect(a.control[CTRL.irqPending]).toBe(1);
    expect(b.control[CTRL.irqPending]).toBe(-0x8000_0000);
    expect([a.control[CTRL.irqSequence], b.control[CTRL.irqSequence]]).toEqual([1, 1]);
  });

  it('counts up the host word of a requester that is the host’s', () => {
    const words = new SharedArrayBuffer(8);
    const remap = new InterruptRemap([{ requester: 0, target: { kind: 'host', words, index: 1 } }]);
    remap.deliver(0, ADDRESS, 0, 0);
    expect([...new Int32Array(words)]).toEqual([0, 1]);
  });

  it('blocks and counts what a guest aims elsewhere', () => {
    const { control, target } = vmTarget();
    const remap = new InterruptRemap([{ requester: 1, target }]);
    remap.deliver(1, 0x1000, 0, 0);
    remap.deliver(1, ADDRESS, 1, 0);
    remap.deliver(1, ADDRESS, 0, 32);
    remap.deliver(2, ADDRESS, 0, 0);
    remap.deliver(99, ADDRESS, 0, 0);
    remap.unmap(1);
    remap.deliver(1, ADDRESS, 0, 0);
    expect(remap.blocked).toBe(6);
    expect(control.every((word) => word === 0)).toBe(true);
  });
});
