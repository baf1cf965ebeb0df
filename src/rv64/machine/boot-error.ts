/** A kernel or an initramfs that this machine cannot start. */
export class BootError extends Error {
  override readonly name = 'BootError';
}
