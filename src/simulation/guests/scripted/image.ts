/** A stand-in for a guest image: a virtual machine takes it, and nobody looks for code in it. */
import type { LoadedImage } from '../../../guest/loaded-image.js';
import { WASM_PAGE_BYTES } from '../../../machine/layout.js';

const NO_CODE = new Uint8Array();
const I64 = 0x7e;
export const SCRIPTED_IMAGE_NAME = 'scripted';

/** @param ramBytes a multiple of 64 KiB, 2 to 16 MiB */
export function scriptedImage(ramBytes: number): LoadedImage {
  const pages = ramBytes / WASM_PAGE_BYTES;
  return {
    key: `scripted-${ramBytes}`,
    name: SCRIPTED_IMAGE_NAME,
    ramBytes,
    jcoSource: '',
    mainModule: '',
    plainWasm: NO_CODE,
    logWasm: NO_CODE,
    shimModules: {},
    dataSegments: [],
    initialPages: pages,
    maxPages: pages,
    // its one register: the number of its steps, which its RAM has to agree with
    globalTypes: [I64],
  };
}
