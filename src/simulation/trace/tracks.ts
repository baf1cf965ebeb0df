/** Process and thread numbers of a trace, and the metadata events that name and order them. */

export interface Track {
  readonly pid: number;
  readonly tid: number;
}

interface MetadataEvent extends Track {
  readonly name: 'process_name' | 'process_sort_index' | 'thread_name' | 'thread_sort_index';
  readonly ph: 'M';
  readonly args: { readonly name: string } | { readonly sort_index: number };
}

const WORLD = 'world';
/** Threads in the order in which a host shows them; the others come after. */
const THREAD_ORDER = ['phases', 'main', 'vcpu', 'engine', 'hardware', 'dma', 'tracker'];

export class TraceTracks {
  readonly #processes = new Map<string, number>();
  readonly #tracks = new Map<string, Track & { readonly process: string; readonly thread: string }>();

  /** Known by the same numbers from its first use on. */
  of(actor: string): Track {
    const known = this.#tracks.get(actor);
    if (known !== undefined) return { pid: known.pid, tid: known.tid };
    const process = this.processOf(actor);
    const pid = this.#processes.get(process) ?? this.#processes.size + 1;
    this.#processes.set(process, pid);
    // threads of different processes have different numbers too
    const tid = this.#tracks.size + 100;
    const thread = actor.slice(actor.indexOf('/') + 1);
    this.#tracks.set(actor, { pid, tid, process, thread });
    return { pid, tid };
  }

  processOf(actor: string): string {
    const slash = actor.indexOf('/');
    return slash < 0 ? WORLD : actor.slice(0, slash);
  }

  metadata(): readonly MetadataEvent[] {
    const events: MetadataEvent[] = [];
    for (const [name, pid] of this.#processes) {
      const sort_index = name === WORLD ? 1000 : pid;
      events.push({ name: 'process_name', ph: 'M', pid, tid: 0, args: { name } });
      events.push({ name: 'process_sort_index', ph: 'M', pid, tid: 0, args: { sort_index } });
    }
    for (const { pid, tid, thread } of this.#tracks.values()) {
      const rank = THREAD_ORDER.findIndex((kind) => thread.startsWith(kind));
      const sort_index = rank < 0 ? THREAD_ORDER.length : rank;
      events.push({ name: 'thread_name', ph: 'M', pid, tid, args: { name: thread } });
      events.push({ name: 'thread_sort_index', ph: 'M', pid, tid, args: { sort_index } });
    }
    return events;
  }
}
