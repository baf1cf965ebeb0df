/**
 * Core module -> component of the guest world, as an image's author would make it.
 */
import { readFile } from 'node:fs/promises';
import { componentEmbed, componentNew } from '@bytecodealliance/jco-transpile/wasm-tools';

const WIT = new URL('../../../guest-images/wit/guest.wit', import.meta.url);

/** @param witSource another world, for tests of what is refused. */
export async function componentOf(
  core: Uint8Array,
  witSource?: string,
  world = 'guest',
): Promise<Uint8Array> {
  const embedded = await componentEmbed({
    binary: core,
    witSource: witSource ?? (await readFile(WIT, 'utf8')),
    world,
    stringEncoding: 'utf8',
  });
  return componentNew(embedded, []);
}
