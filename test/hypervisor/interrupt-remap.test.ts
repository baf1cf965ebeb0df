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

  it('sets an identity of a guest’s interrupt file, and wakes its hart', () => {
    const memory = new SharedArrayBuffer(2 * CONTROL_BYTES);
    const file = { kind: 'interrupt-file', memory, controlOffset: 0, pendingOffset: CONTROL_BYTES } as const;
    const target = { ...file, identities: 255, address: 0x3_0000_0000 };
    const remap = new InterruptRemap([{ requester: 1, target }]);
    const pending = new Int32Array(memory, CONTROL_BYTES, 8);
    remap.deliver(1, 0, 3, 33);
    remap.deliver(1, 0, 3, 255);
    expect([...pending]).toEqual([0, 2, 0, 0, 0, 0, 0, 1 << 31]);
    expect(new Int32Array(memory)[CTRL.irqSequence]).toBe(2);
    for (const [low, high, data] of [
      [0, 3, 0],
      [0, 3, 256],
      [4, 3, 1],
      [ADDRESS, 0, 1],
    ] as const) {
      remap.deliver(1, low, high, data);
    }
    expect(remap.blocked).toBe(4);
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
