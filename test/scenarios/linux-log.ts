/** What a Linux guest's kernel has written, and what of it nothing healthy would have made it write. */
import type { LinuxShell } from '../../src/cli/linux-shell.js';

const LINE = /^<(\d+)>\[\s*([\d.]+)\] (.*)$/;
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
  const lines = output.split('\n').map((line) => LINE.exec(line.trim()));
  const whole = lines.filter((match) => match !== null);
  // dmesg that printed nothing must not pass for a quiet kernel
  if (!whole.some((match) => match[3]!.startsWith('Linux version'))) {
    throw new Error(`the kernel's log does not begin with its version: ${output.slice(0, 500)}`);
  }
  return whole
    .filter((match) => (Number(match[1]) & 7) <= WARNING || TROUBLE.test(match[3]!))
    .map((match) => match[0])
    .filter((line) => !STARVED.test(line));
}
