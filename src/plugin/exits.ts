/**
 * The host's hold on a plugin's exit handler: installed in the vCPU's thread, its pages trapped; and given back. What went
 * wrong there is asked for before a harvest counts.
 */
import { loadAtOnce } from '../hypervisor/exit-hook.js';
import type { PassthroughHandle } from '../hypervisor/passthrough-core.js';
import { workerFile } from '../hypervisor/worker-file.js';
import { sharedWordsOf } from './core-thread.js';
import type { DeviceAccess } from './device-access.js';
import { PluginFailure } from './errors.js';
import type { ExitModule, ExitRequest, ExitsHandle } from './exit-api.js';
import { EXIT_CONTROL_BYTES, type ExitStart, exitFailure } from './exit-entry.js';

const ENTRY = new URL('./exit-entry.js', import.meta.url);

export interface ExitsStart {
  readonly plugin: string;
  readonly request: ExitRequest;
  readonly access: DeviceAccess;
  readonly dirty: SharedArrayBuffer;
  readonly dirtyPages: number;
  /** The guest's accesses are made in a thread other than the host's. */
  readonly inThread: boolean;
}

/** Fails where a module could not be loaded in the middle of an access. @throws PluginFailure */
export function checkExitModule(plugin: string, { module, pages }: ExitRequest, pageCount: number): void {
  if (pages.length === 0 || pages.some((page) => !Number.isInteger(page) || page < 0 || page >= pageCount)) {
    throw new PluginFailure(
      `plugin ${plugin}: it asks for exits of pages ${pages.join(', ') || '(none)'}; BAR0 has 0 to ${pageCount - 1}`,
    );
  }
  let loaded: Partial<ExitModule>;
  try {
    loaded = loadAtOnce(String(module)) as Partial<ExitModule>;
  } catch (cause) {
    throw new PluginFailure(`plugin ${plugin}: its exit handler cannot be loaded: ${cause}`, { cause });
  }
  if (typeof loaded.createExitHandler !== 'function')
    throw new PluginFailure(`plugin ${plugin}: ${module} exports no createExitHandler`);
}

export class InstalledExits implements ExitsHandle {
  readonly shared: Int32Array;
  readonly #start: ExitsStart;
  readonly #control = new SharedArrayBuffer(EXIT_CONTROL_BYTES);
  #isInstalled = false;

  constructor(start: ExitsStart) {
    this.#start = start;
    this.shared = sharedWordsOf(start.request);
  }

  /** When it returns, every write of the guest's to these pages goes through the handler. */
  install(): void {
    const { request, access, dirty, dirtyPages, inThread } = this.#start;
    // the guest waits in its first trapped write while they are loaded
    const fileOf = (module: URL): string => String(inThread ? workerFile(module) : module);
    const start: ExitStart = {
      module: fileOf(request.module),
      data: request.data,
      control: this.#control,
      shared: this.shared.buffer as SharedArrayBuffer,
      dirty,
      dirtyPages,
    };
    this.#isInstalled = true;
    access.exits.install({
      entry: fileOf(ENTRY),
      start,
      handle: access.handle as PassthroughHandle,
      pages: request.pages,
    });
    for (const page of request.pages) access.parts.pages.map(page, 'trapped');
  }

  /** Idempotent; when it returns, no write is in the handler's hands any more. */
  remove(): void {
    if (!this.#isInstalled) return;
    this.#isInstalled = false;
    const { request, access } = this.#start;
    for (const page of request.pages) access.parts.pages.map(page, 'direct');
    access.exits.install(null);
  }

  /** @throws PluginFailure when a write went past the handler, or it threw. */
  check(): void {
    const text = exitFailure(this.#control);
    if (text !== null)
      throw new PluginFailure(`plugin ${this.#start.plugin}: its exit handler failed: ${text}`);
  }
}
