/** The longest time without any reply: how long a migration looked to its peer. */

export class LongestGap {
  private lastReplyNs = 0;
  private longestNs = 0;
  private startNs = 0;

  get longestMs(): number {
    return this.longestNs / 1e6;
  }

  /** When it began, on the machine's common clock; 0 when there is none. */
  get longestStartNs(): number {
    return this.startNs;
  }

  /** The next reply is the first one of its kind: no gap ends with it. */
  restart(): void {
    this.lastReplyNs = 0;
  }

  reply(nowNs: number): void {
    this.look(nowNs);
    this.lastReplyNs = nowNs;
  }

  /** Counts the gap that is still going on. */
  look(nowNs: number): void {
    if (this.lastReplyNs === 0 || nowNs - this.lastReplyNs <= this.longestNs) return;
    this.longestNs = nowNs - this.lastReplyNs;
    this.startNs = this.lastReplyNs;
  }
}
