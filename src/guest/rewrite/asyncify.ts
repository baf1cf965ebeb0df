/**
 * Binaryen's Asyncify over a rewritten module: calls of the poll import may unwind the stack, nothing else does. Then
 * its optimiser, which removes most of what Asyncify flattened.
 */
import binaryen from 'binaryen';
import { GuestImageError } from '../guest-image-error.js';
import { HOST_MODULE, POLL_FIELD } from '../world.js';

// named one by one: asking for all of them makes binaryen emit encodings that V8 does not read
const FEATURES =
  binaryen.Features.Atomics |
  binaryen.Features.MutableGlobals |
  binaryen.Features.NontrappingFPToInt |
  binaryen.Features.SIMD128 |
  binaryen.Features.BulkMemory |
  binaryen.Features.BulkMemoryOpt |
  binaryen.Features.SignExt |
  binaryen.Features.ReferenceTypes |
  binaryen.Features.Multivalue;

export function asyncify(wasm: Uint8Array): Uint8Array {
  let module: binaryen.Module;
  try {
    module = binaryen.readBinary(wasm);
  } catch (cause) {
    throw new GuestImageError('malformed', 'the image’s WebAssembly was not understood by the optimiser', {
      cause,
    });
  }
  try {
    module.setFeatures(FEATURES);
    if (module.validate() === 0) {
      throw new GuestImageError('malformed', 'the image’s WebAssembly is not valid');
    }
    // pass arguments and levels are global to the library: set both every time
    binaryen.setPassArgument('asyncify-imports', `${HOST_MODULE}.${POLL_FIELD}`);
    binaryen.setOptimizeLevel(2);
    binaryen.setShrinkLevel(0);
    module.runPasses(['asyncify']);
    module.optimize();
    return module.emitBinary();
  } finally {
    module.dispose();
  }
}
