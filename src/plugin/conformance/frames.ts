/** What the guest received, against what the peer sent and what the plugin claims. */
import type { FullClaims } from '../definition.js';

/**
 * @param received sequence numbers in the order in which they reached the guest
 * @param offered the peer sent 0 .. offered - 1
 * @param settled from this frame on every one arrives once, whatever is claimed: the switch is over
 */
export function judgeFrames(
  claims: Pick<FullClaims, 'mayLosePackets' | 'mayDuplicatePackets' | 'mayReorderPackets'>,
  received: readonly number[],
  offered: number,
  settled: number,
): string[] {
  const times = new Map<number, number>();
  let highest = -1;
  let late = -1;
  for (const sequence of received) {
    const seen = times.get(sequence) ?? 0;
    times.set(sequence, seen + 1);
    // a copy of what came before is a duplicate, and judged as that
    const isDue = !claims.mayReorderPackets || sequence >= settled;
    if (sequence < highest && seen === 0 && late < 0 && isDue) late = sequence;
    highest = Math.max(highest, sequence);
  }
  const problems: string[] = [];
  const sent = [...Array(offered).keys()];
  const complain = (what: string, frames: readonly number[], isClaimed: boolean): void => {
    const wrong = isClaimed ? frames.filter((sequence) => sequence >= settled) : frames;
    if (wrong.length === 0) return;
    const where = isClaimed ? ' after the switch was over' : '';
    problems.push(`${wrong.length} of ${offered} frames ${what}${where}: ${wrong.slice(0, 8).join(', ')}`);
  };
  complain(
    'were lost',
    sent.filter((sequence) => !times.has(sequence)),
    claims.mayLosePackets,
  );
  complain(
    'arrived more than once',
    sent.filter((sequence) => (times.get(sequence) ?? 0) > 1),
    claims.mayDuplicatePackets,
  );
  if (late >= 0) problems.push(`frame ${late} arrived out of order`);
  if (highest >= offered) problems.push(`frame ${highest} arrived, which nobody sent`);
  return problems;
}
