/**
 * The requests under way: at most so many, at most one per key, found by the 16-bit id that replies carry. It also
 * remembers which ids were sent more than once, so that a second reply can be judged, and which keys must rest.
 */

export const OP_SET = 1;
export const OP_GET = 2;
export const OP_DELETE = 3;

const IDS = 65536;
const CLOSED = 0;

export class KvWindow {
  readonly slots: number;
  outstanding = 0;
  /** No request is overdue before this. */
  earliestDeadlineNs = Number.POSITIVE_INFINITY;
  private readonly op: Uint8Array;
  private readonly key: Int32Array;
  private readonly version: Int32Array;
  private readonly id: Int32Array;
  private readonly order: Float64Array;
  private readonly sentNs: Float64Array;
  private readonly deadlineNs: Float64Array;
  private readonly attempts: Int32Array;
  private readonly free: number[] = [];
  private readonly slotOfId = new Int32Array(IDS).fill(-1);
  private readonly repeatedId = new Uint8Array(IDS);
  private readonly busy: Uint8Array;
  private readonly restUntilNs = new Map<number, number>();
  private nextId = 0;
  private nextOrder = 1;
  private highestAnswered = 0;

  constructor(slots: number, keys: number) {
    this.slots = slots;
    this.op = new Uint8Array(slots);
    this.key = new Int32Array(slots);
    this.version = new Int32Array(slots);
    this.id = new Int32Array(slots);
    this.order = new Float64Array(slots);
    this.sentNs = new Float64Array(slots);
    this.deadlineNs = new Float64Array(slots);
    this.attempts = new Int32Array(slots);
    this.busy = new Uint8Array(keys);
    for (let slot = slots - 1; slot >= 0; slot--) this.free.push(slot);
  }

  get isFull(): boolean {
    return this.free.length === 0;
  }

  isBusy(key: number, nowNs: number): boolean {
    if (this.busy[key] !== 0) return true;
    if (this.restUntilNs.size === 0) return false;
    const untilNs = this.restUntilNs.get(key);
    if (untilNs === undefined) return false;
    if (untilNs > nowNs) return true;
    this.restUntilNs.delete(key);
    return false;
  }

  /** Takes a free slot: check isFull first. */
  open(op: number, key: number, version: number, nowNs: number, deadlineNs: number): number {
    const slot = this.free.pop()!;
    do this.nextId = (this.nextId + 1) & (IDS - 1);
    while (this.slotOfId[this.nextId]! >= 0);
    this.op[slot] = op;
    this.key[slot] = key;
    this.version[slot] = version;
    this.id[slot] = this.nextId;
    this.order[slot] = this.nextOrder++;
    this.sentNs[slot] = nowNs;
    this.deadlineNs[slot] = deadlineNs;
    this.attempts[slot] = 1;
    this.slotOfId[this.nextId] = slot;
    this.repeatedId[this.nextId] = 0;
    this.busy[key] = 1;
    this.outstanding++;
    if (deadlineNs < this.earliestDeadlineNs) this.earliestDeadlineNs = deadlineNs;
    return slot;
  }

  /** @param restUntilNs until when the key is left alone; 0 for not at all. */
  close(slot: number, restUntilNs: number): void {
    const key = this.key[slot]!;
    this.op[slot] = CLOSED;
    this.slotOfId[this.id[slot]!] = -1;
    this.busy[key] = 0;
    if (restUntilNs > 0) this.restUntilNs.set(key, restUntilNs);
    this.free.push(slot);
    this.outstanding--;
    if (this.outstanding === 0) this.earliestDeadlineNs = Number.POSITIVE_INFINITY;
  }

  repeat(slot: number, deadlineNs: number): void {
    this.attempts[slot]!++;
    this.repeatedId[this.id[slot]!] = 1;
    this.deadlineNs[slot] = deadlineNs;
  }

  refreshDeadline(): void {
    this.earliestDeadlineNs = Number.POSITIVE_INFINITY;
    for (let slot = 0; slot < this.slots; slot++) {
      if (this.isOpen(slot))
        this.earliestDeadlineNs = Math.min(this.earliestDeadlineNs, this.deadlineNs[slot]!);
    }
  }

  /** Forgets every request under way, telling whose. */
  abandon(tell: (key: number, op: number) => void): void {
    for (let slot = 0; slot < this.slots; slot++) {
      if (!this.isOpen(slot)) continue;
      tell(this.key[slot]!, this.op[slot]!);
      this.repeatedId[this.id[slot]!] = 1;
      this.close(slot, 0);
    }
  }

  /** The open request with this id, or -1. */
  slotOf(id: number): number {
    return this.slotOfId[id]!;
  }

  wasRepeated(id: number): boolean {
    return this.repeatedId[id] !== 0;
  }

  /** Whether the reply to this request (sent once) comes after the reply to a later one. */
  wasOvertaken(slot: number): boolean {
    if (this.attempts[slot]! > 1) return false;
    const order = this.order[slot]!;
    if (order < this.highestAnswered) return true;
    this.highestAnswered = order;
    return false;
  }

  isOpen(slot: number): boolean {
    return this.op[slot] !== CLOSED;
  }

  opOf(slot: number): number {
    return this.op[slot]!;
  }

  keyOf(slot: number): number {
    return this.key[slot]!;
  }

  versionOf(slot: number): number {
    return this.version[slot]!;
  }

  idOf(slot: number): number {
    return this.id[slot]!;
  }

  sentOf(slot: number): number {
    return this.sentNs[slot]!;
  }

  deadlineOf(slot: number): number {
    return this.deadlineNs[slot]!;
  }

  attemptsOf(slot: number): number {
    return this.attempts[slot]!;
  }
}
