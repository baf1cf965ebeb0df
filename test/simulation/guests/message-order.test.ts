/** A message that a guest's own write makes the card send: it stays behind what the card posted before it. */
import { describe, expect, it } from 'vitest';
import { emptyBus } from '../../../src/machine/guest-bus.js';
import { raiseInterruptLine } from '../../../src/machine/interrupt-lines.js';
import { CONTROL_BYTES } from '../../../src/machine/layout.js';
import { behindPostedWrites } from '../../../src/simulation/guests/message-order.js';

const UNMASK = 0x108;
const DOORBELL = 0x1018;
const SLOT = 1;

describe('a message of a register write', () => {
  it('lands what was posted before it; a write that sends none leaves it on its way', () => {
    const control = new Int32Array(CONTROL_BYTES >> 2);
    const landed: string[] = [];
    let access = '';
    const bus = behindPostedWrites(
      {
        ...emptyBus,
        pciWrite: () => raiseInterruptLine(control, 0),
        barWrite: (_slot, _bar, offset) => {
          if (offset === UNMASK) raiseInterruptLine(control, 0);
        },
      },
      control,
      () => landed.push(access),
    );
    const write = (name: string, make: () => void): void => {
      access = name;
      make();
    };
    write('doorbell', () => bus.barWrite(SLOT, 0, DOORBELL, 1));
    write('unmask', () => bus.barWrite(SLOT, 0, UNMASK, 7));
    write('read', () => bus.barRead(SLOT, 0, UNMASK));
    // bus mastering comes on: what was latched goes out
    write('command', () => bus.pciWrite(SLOT, 4, 6));
    expect(landed).toEqual(['unmask', 'command']);
  });
});
