/** A tracker's marks that are also events of the log: a page when it is marked for the first time since its harvest. */
import { PAGE_BYTES } from '../../hardware/units.js';
import type { DirtyMarks } from '../../plugin/device-view.js';
import type { EventLog } from '../clockwork/event-log.js';

export interface MarkLog {
  readonly log: EventLog;
  nowNs(): number;
}

export class LoggedMarks implements DirtyMarks {
  readonly pages: number;
  readonly #marks: DirtyMarks;
  readonly #bytes: Uint8Array;
  readonly #to: MarkLog;
  readonly #actor: string;

  /** @param buffer the bytes that `marks` writes, one per page */
  constructor(marks: DirtyMarks, buffer: SharedArrayBuffer, to: MarkLog, actor: string) {
    this.pages = marks.pages;
    this.#marks = marks;
    this.#bytes = new Uint8Array(buffer, 0, marks.pages);
    this.#to = to;
    this.#actor = actor;
  }

  mark(page: number): void {
    if (this.#bytes[page] === 0) this.#log('mark', page);
    this.#marks.mark(page);
  }

  markRange(address: number, bytes: number): void {
    const last = Math.min(this.pages - 1, Math.floor((address + bytes - 1) / PAGE_BYTES));
    for (let page = Math.max(0, Math.floor(address / PAGE_BYTES)); page <= last; page++) {
      if (bytes > 0 && this.#bytes[page] === 0) this.#log('mark', page);
    }
    this.#marks.markRange(address, bytes);
  }

  markAll(): void {
    this.#log('mark all', this.pages);
    this.#marks.markAll();
  }

  #log(what: string, number: number): void {
    this.#to.log.add(this.#to.nowNs(), this.#actor, what, number);
  }
}
