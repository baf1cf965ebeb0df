/** The guest's half of CompSC, on the conformance kit's driver: the shared page, the lock, dummy writes, setting up again. */
import type { GuestHalf, MiniDriver } from '../../../src/plugin/conformance/index.js';
import { REG } from '../../../src/plugin/vf82599/registers.js';

const PAGE_AT = 0x8_0000;
const PAGE = PAGE_AT / 4;
const WORD = { magic: 0, lock: 1, version: 2, turns: 4, registers: 6, counters: 7, list: 16, counter: 128 };
const MAGIC = 0x4353_4331;
const WRITER = 0x8000_0000 | 0;
const MESSAGE = 0x60;
const LAYOUT = 1;

export class CompscGuest implements GuestHalf {
  readonly #driver: MiniDriver;
  #version = 0;

  constructor(driver: MiniDriver) {
    this.#driver = driver;
    this.#set(WORD.magic, MAGIC);
    this.#set(WORD.registers, 1);
    this.#set(WORD.list, REG.VFPSRTYPE);
    this.#set(WORD.counters, 1);
    this.#set(WORD.counter, REG.VFGPRC);
    this.#register();
  }

  serve(): void {
    const { words } = this.#driver.host;
    if ((words[PAGE + WORD.lock]! & WRITER) !== 0) return;
    this.#add(WORD.lock, 1);
    if (words[PAGE + WORD.version] !== this.#version) {
      this.#version = words[PAGE + WORD.version]!;
      this.#driver.host.guestReset();
      this.#register();
      this.#driver.up();
    }
    for (let queue = 0; queue < this.#driver.queues.length; queue++) {
      if (this.#driver.clean(queue) === 0) this.#add(WORD.turns + queue, 1);
    }
    this.#add(WORD.lock, -1);
  }

  #register(): void {
    const words = [MESSAGE, PAGE_AT, LAYOUT, ...new Array<number>(13).fill(0)];
    this.#driver.host.driver.vf(0).vendorMessages.set(MESSAGE, words);
  }

  #add(word: number, amount: number): void {
    this.#set(word, this.#driver.host.words[PAGE + word]! + amount);
  }

  #set(word: number, value: number): void {
    this.#driver.host.words[PAGE + word] = value;
    this.#driver.cpuDirty.add(PAGE_AT / 4096);
  }
}
