/**
 * What `linux` measures: a monitor that boots Debian's riscv64 kernel and moves it between two of its processes. srvm is one,
 * QEMU another; the kernel, the initramfs, the switch, the stations and the programs are the same.
 */
import type { LinuxShell } from '../../src/cli/linux-shell.js';

export const GUEST = { ip: '10.0.0.2', mac: '52:54:00:00:00:02', memoryMiB: 512 } as const;

export interface Boot {
  /** From the process's start to the kernel's first program, on the host's clock. */
  readonly wallMs: number;
  /** The same by the guest's clock, which starts with the kernel. */
  readonly guestMs: number;
}

export interface Move {
  /** As the monitor reports it. */
  readonly totalMs: number;
  readonly downtimeMs: number;
}

/** A guest that has booted, its network up and iperf3's server running. */
export interface Guest {
  readonly shell: LinuxShell;
  readonly boot: Boot;
  /** To a fresh process; `method` is srvm's tracker, and nothing to others. */
  move(method: 'scan' | 'shadow-doorbell'): Promise<Move>;
  close(): Promise<void>;
}

export interface Subject {
  readonly name: string;
  /** Its guests do not reliably go on after several moves under load: each such move gets a guest of its own. */
  readonly wantsFreshGuests: boolean;
  start(): Promise<Guest>;
}

const REACHED = /init: reached ([\d.]+) s/;
const LOOK_EVERY_MS = 5;
/** Ends of commands are noticed no later. */
export const LOOK_AT_SHELL_MS = 4;
const BOOT_LIMIT_MS = 240_000;

/** Watches a terminal for the first program's greeting. */
export async function untilInit(text: () => string, startedMs: number, fail: () => string): Promise<Boot> {
  for (;;) {
    const match = REACHED.exec(text());
    if (match !== null) return { wallMs: performance.now() - startedMs, guestMs: Number(match[1]) * 1000 };
    if (performance.now() - startedMs > BOOT_LIMIT_MS) throw new Error(`the guest has not booted: ${fail()}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}
