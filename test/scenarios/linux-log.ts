/** What a Linux guest's kernel has written, and what of it nothing healthy would have made it write. */
import type { LinuxShell } from '../../src/cli/linux-shell.js';

/** As `dmesg -r` prints it. */
const DMESG_LINE = /^<(\d+)>\[\s*[\d.]+\] (.*)$/;
/** As /dev/kmsg has it: priority, number, time, flags. */
const KMSG_LINE = /^(\d+),\d+,\d+,[^;]*;(.*)$/;
/** Of the kernel's levels: 0 emergency .. 4 warning .. 7 debug. */
const WARNING = 4;
/** Told at lower levels too, or by drivers that have levels of their own. */
const TROUBLE =
  /WARNING:|BUG:|Oops|Call Trace:|cut here|Tx Unit Hang|NETDEV WATCHDOG|Resetting|reset adapter|lost|not assigned|stall|Failed|timed out|hung/i;
/** The host had no core for the guest for a while. */
const STARVED = /hrtimer: interrupt took \d+ ns/;

/** Lines of the kernel's log that are warnings or worse, or tell of a hang, a reset or a failure. */
export async function kernelTrouble(shell: LinuxShell): Promise<string[]> {
  const { output } = await shell.run('dmesg -r');
  return troubleIn(output, DMESG_LINE);
}

/** The same for what was read from the guest's /dev/kmsg. */
export const troubleInKmsg = (log: string): string[] => troubleIn(log, KMSG_LINE);

function troubleIn(log: string, format: RegExp): string[] {
  const lines = log.split('\n').map((line) => format.exec(line.trim()));
  const whole = lines.filter((match) => match !== null);
  // a log that is empty must not pass for a quiet kernel
  if (!whole.some((match) => match[2]!.startsWith('Linux version'))) {
    throw new Error(`the kernel's log does not begin with its version: ${log.slice(0, 500)}`);
  }
  return whole
    .filter((match) => (Number(match[1]) & 7) <= WARNING || TROUBLE.test(match[2]!))
    .map((match) => match[0])
    .filter((line) => !STARVED.test(line));
}
