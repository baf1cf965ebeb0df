/** CompSC's page is the guest's, and its state comes from a stream: neither is believed. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import compsc from '../../../plugins/compsc/plugin.js';
import { restoreCounters, restoreRegisters, saveRegisters } from '../../../plugins/compsc/registers.js';
import { GuestHelpError, SharedPage } from '../../../plugins/compsc/shared-page.js';
import type { DeviceContext, StateValue } from '../../../src/plugin/api.js';
import { MiniDriver } from '../../../src/plugin/conformance/mini-driver.js';
import { TestHost } from '../../../src/plugin/conformance/test-host.js';
import { REG, RX, rxRegister } from '../../../src/plugin/vf82599/registers.js';
import { CompscGuest } from '../guests/compsc-guest.js';

const PAGE_AT = 0x8_0000;
const WORD = PAGE_AT / 4;

let host: TestHost;
let context: DeviceContext;
beforeEach(() => {
  host = new TestHost();
  const driver = new MiniDriver(host);
  driver.up();
  new CompscGuest(driver);
  context = {
    ...host.access.parts,
    options: {},
    note: () => undefined,
    waitUntil: async () => undefined,
  };
});
afterEach(() => host.close());

describe('the page', () => {
  it('has to lie in RAM, and to be the one', () => {
    for (const address of [0, 4, 0xffff_f000, context.ram.bytes, 0x9_0000])
      expect(() => new SharedPage(context, address)).toThrow(GuestHelpError);
    expect(SharedPage.registered(context).address).toBe(PAGE_AT);
    host.driver.vf(0).vendorMessages.clear();
    expect(() => SharedPage.registered(context)).toThrow('has registered no page');
    expect(() => compsc.createTracker({ ...context, dirty: undefined! })).toThrow(GuestHelpError);
  });

  it('cannot name more than fits, nor a register with side effects', () => {
    const page = SharedPage.registered(context);
    expect(saveRegisters(context, page)).toHaveLength(1);
    for (const register of [REG.VFCTRL, REG.VTEICR, REG.VFMAILBOX, rxRegister(0, RX.RDT), 0x4000, 3]) {
      host.words[WORD + 16] = register;
      expect(() => saveRegisters(context, page)).toThrow(GuestHelpError);
    }
    host.words[WORD + 6] = 1 << 20;
    host.words[WORD + 7] = -1;
    expect(() => page.registers()).toThrow(GuestHelpError);
    expect(() => page.counters()).toThrow(GuestHelpError);
  });
});

describe('the state', () => {
  it('is refused where it is anything else', () => {
    const page = SharedPage.registered(context);
    const registers: StateValue[] = [
      [[REG.VFCTRL, 1 << 26]],
      [[1]],
      [['x', 2]],
      7,
      null,
      new Array(200).fill([0, 0]),
    ];
    for (const value of registers) expect(() => restoreRegisters(context, value)).toThrow();
    for (const value of [[], [-1], [2 ** 32], ['x'], [1, 2], 5] as StateValue[])
      expect(() => restoreCounters(context, page, value)).toThrow();
    restoreCounters(context, page, [1000]);
    expect(page.before(0)).toBe(1000);
  });
});

describe('what was counted', () => {
  it('goes on from the old card, whatever the new one counted for others', () => {
    const page = SharedPage.registered(context);
    const showing = { ...context, bar0: { ...context.bar0, read32: () => 400 } };
    restoreCounters(showing, page, [100]);
    // before + shown wraps to 100
    expect((page.before(0) + 400) % 2 ** 32).toBe(100);
  });
});
