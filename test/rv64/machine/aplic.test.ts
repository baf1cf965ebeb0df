/** Wired interrupts: a line becomes a message as its source's mode says. */
import { beforeEach, describe, expect, it } from 'vitest';
import { Aplic } from '../../../src/rv64/machine/aplic.js';

const REG = {
  domaincfg: 0,
  sourcecfg: (source: number) => 4 * source,
  setipnum: 0x1cdc,
  setienum: 0x1edc,
  clrienum: 0x1fdc,
  inClrip: 0x1d00,
  setip: 0x1c00,
  genmsi: 0x3000,
  target: (source: number) => 0x3000 + 4 * source,
};
const MODE = { edgeHigh: 4, levelHigh: 6, levelLow: 7 };

let sent: number[];
let aplic: Aplic;
const write = (offset: number, value: number) => aplic.write(offset, 4, value);

beforeEach(() => {
  sent = [];
  aplic = new Aplic((identity) => sent.push(identity));
  write(REG.domaincfg, 0x104);
});

function configure(source: number, mode: number, identity: number): void {
  write(REG.sourcecfg(source), mode);
  write(REG.target(source), identity);
  write(REG.setienum, source);
}

describe('a source', () => {
  it('sends one message for each rise of an edge-triggered line', () => {
    configure(3, MODE.edgeHigh, 40);
    aplic.setLine(3, true);
    aplic.setLine(3, true);
    aplic.setLine(3, false);
    aplic.setLine(3, true);
    expect(sent).toEqual([40, 40]);
  });

  it('is sent again by software while its level holds, as drivers do after handling it', () => {
    configure(1, MODE.levelHigh, 9);
    aplic.setLine(1, true);
    write(REG.setipnum, 1);
    aplic.setLine(1, false);
    write(REG.setipnum, 1);
    expect(sent).toEqual([9, 9]);
    expect(aplic.read(REG.inClrip)).toBe(0);
  });

  it('waits while it is disabled, and a level that goes takes its pending bit along', () => {
    configure(1, MODE.levelHigh, 9);
    write(REG.clrienum, 1);
    aplic.setLine(1, true);
    expect(sent).toEqual([]);
    expect(aplic.read(REG.setip)).toBe(2);
    aplic.setLine(1, false);
    write(REG.setienum, 1);
    expect(sent).toEqual([]);
    aplic.setLine(1, true);
    expect(sent).toEqual([9]);
  });

  it('may be active low, and not at all', () => {
    configure(2, MODE.levelLow, 5);
    expect(sent).toEqual([5]);
    write(REG.sourcecfg(2), 0);
    aplic.setLine(2, true);
    aplic.setLine(2, false);
    expect(sent).toEqual([5]);
  });

  it('stays silent while the domain is off', () => {
    write(REG.domaincfg, 0);
    configure(1, MODE.levelHigh, 9);
    aplic.setLine(1, true);
    expect(sent).toEqual([]);
    write(REG.domaincfg, 0x100);
    expect(sent).toEqual([9]);
  });

  it('sends a message of software', () => {
    write(REG.genmsi, 77);
    expect(sent).toEqual([77]);
  });
});

it('goes on elsewhere from a saved state', () => {
  configure(1, MODE.levelHigh, 9);
  write(REG.clrienum, 1);
  aplic.setLine(1, true);
  const state = structuredClone(aplic.save());
  aplic = new Aplic((identity) => sent.push(identity));
  aplic.restore(state);
  expect(aplic.save()).toEqual(state);
  write(REG.setienum, 1);
  expect(sent).toEqual([9]);
});
