/**
 * The build process: builds one image that its parent sends, answers, ends. A process of its own, because the
 * toolchain's quarter of a gigabyte should end with it, and because a toolchain that crashes on a strange image must
 * not take the monitor down.
 */
import { setFlagsFromString } from 'node:v8';
import { GuestImageError, type GuestImageReason } from './guest-image-error.js';
import { encodeEntry } from './image-entry.js';

export interface BuildRequest {
  readonly component: Uint8Array;
  readonly ramBytes: number;
}

export type BuildReply =
  | { readonly kind: 'built'; readonly entry: Uint8Array }
  | { readonly kind: 'refused'; readonly reason: GuestImageReason; readonly message: string };

// The tools are WebAssembly themselves, ten megabytes of it, and run once: compiling them well costs three times what it saves.
// Has to be set before they are loaded.
setFlagsFromString('--liftoff-only');

process.once('message', (request: BuildRequest) => {
  void answer(request).then((reply) => {
    process.send?.(reply, () => process.disconnect());
  });
});

async function answer({ component, ramBytes }: BuildRequest): Promise<BuildReply> {
  try {
    const { buildImage } = await import('./build-image.js');
    return { kind: 'built', entry: encodeEntry(await buildImage(component, ramBytes)) };
  } catch (error) {
    if (error instanceof GuestImageError)
      return { kind: 'refused', reason: error.reason, message: error.message };
    const text = error instanceof Error ? error.message : String(error);
    return { kind: 'refused', reason: 'build-failed', message: `the image could not be built: ${text}` };
  }
}
