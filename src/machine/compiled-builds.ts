/**
 * A guest's two builds, compiled beside its thread instead of in it. The engine has one compiled module per process for
 * equal bytes, as long as somebody holds it: what is held here costs the vCPU's thread nothing when it instantiates the
 * same bytes.
 *
 *   plain      while the vCPU's worker starts
 *   logging    when it is asked for: a migration away needs it, a boot or an arrival must not wait for it
 */
import type { LoadedImage } from '../guest/loaded-image.js';

/** Compiles, and keeps what it compiled for as long as the promise is held. */
export type CompileAhead = (wasm: Uint8Array) => Promise<unknown>;

export class CompiledBuilds {
  readonly #image: LoadedImage;
  readonly #compile: CompileAhead;
  readonly #plain: Promise<unknown>;
  #logging: Promise<unknown> | null = null;

  constructor(image: LoadedImage, compile: CompileAhead) {
    this.#image = image;
    this.#compile = compile;
    this.#plain = compile(image.plainWasm);
    // a build that cannot be compiled is reported by the thread that wants to run it
    this.#plain.catch(() => {});
  }

  /** Resolves when the vCPU can change to the logging build without compiling. Compiled once, from the first call on. */
  async logging(): Promise<void> {
    if (this.#logging === null) {
      this.#logging = this.#compile(this.#image.logWasm);
      this.#logging.catch(() => {});
    }
    await this.#logging;
  }
}
