/** What programs in a Linux guest print, as figures. */

const FLOW = /\[[^\]]+\](?:\[[^\]]+\])? +[\d.]+-[\d.]+ +sec.* ([\d.]+) Mbits\/sec.*(?:sender|receiver)/g;

/** The closing lines of `iperf3 -f m`: what was sent and what arrived, of each direction. */
export function sentAndReceivedMbps(text: string): number[] {
  const figures = [...text.matchAll(FLOW)].map((match) => Number(match[1]));
  if (figures.length < 2) throw new Error(`iperf3 has not told what was sent and received: ${text}`);
  return figures;
}

export function md5Of(text: string): string {
  const sum = /^([0-9a-f]{32})\b/m.exec(text)?.[1];
  if (sum === undefined) throw new Error(`no md5 sum in: ${text}`);
  return sum;
}
