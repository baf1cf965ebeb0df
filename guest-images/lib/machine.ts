/**
 * The machine a guest runs on: the imports of wit/guest.wit, and waiting.
 *
 * wait-for-interrupt returns lines and clears them, whoever calls it. A driver that sleeps for a millisecond would lose
 * an interrupt that comes meanwhile; so every wait goes through here, and lines stay in `pendingLines` until takeLines().
 */

@external("srvm:guest/machine@0.1.0", "pci-read")
export declare function pciRead(slot: u32, offset: u32): u32;
@external("srvm:guest/machine@0.1.0", "pci-write")
export declare function pciWrite(slot: u32, offset: u32, value: u32): void;
@external("srvm:guest/machine@0.1.0", "bar-read")
export declare function barRead(slot: u32, bar: u32, offset: u32): u32;
@external("srvm:guest/machine@0.1.0", "bar-write")
export declare function barWrite(slot: u32, bar: u32, offset: u32, value: u32): void;
@external("srvm:guest/machine@0.1.0", "wait-for-interrupt")
declare function waitForInterrupt(timeoutUs: u32): u32;
/** Monotonic nanoseconds; goes on across a migration. */
@external("srvm:guest/machine@0.1.0", "clock-ns")
export declare function clockNs(): u64;
@external("srvm:guest/machine@0.1.0", "console-write")
export declare function consoleWrite(byte: u32): void;
@external("srvm:guest/machine@0.1.0", "command-line")
export declare function commandLine(index: u32): u32;

export const FOREVER_US: u32 = 0xffffffff;
const LONGEST_WAIT_US: u64 = 0xfffffffe;

let pendingLines: u32 = 0;

/** Interrupt lines since the last call; waits up to `timeoutUs` for one if there is none. */
export function takeLines(timeoutUs: u32): u32 {
  const lines = pendingLines | waitForInterrupt(pendingLines != 0 ? 0 : timeoutUs);
  pendingLines = 0;
  return lines;
}

/**
 * What was stored before is seen by devices before anything is loaded after: for rings in memory that both sides look at
 * without a register in between. The machine has no cheaper call that orders memory.
 */
export function fence(): void {
  pendingLines |= waitForInterrupt(0);
}

/** Sleeps at least so long; other parts of the machine run meanwhile. */
export function sleepUs(us: u32): void {
  const untilNs = clockNs() + <u64>us * 1000;
  for (;;) {
    const nowNs = clockNs();
    if (nowNs >= untilNs) return;
    pendingLines |= waitForInterrupt(<u32>min((untilNs - nowNs + 999) / 1000, LONGEST_WAIT_US));
  }
}

/** Burns at least so long, as a driver does where sleeping would take longer than the wait itself. */
export function delayUs(us: u32): void {
  const untilNs = clockNs() + <u64>us * 1000;
  while (clockNs() < untilNs) {}
}
