/**
 * Why an image cannot be run. One class, one code per reason: callers branch on `reason`, people read `message`.
 */

/** What was wrong with an image. */
export type GuestImageReason =
  | 'unreadable'
  | 'not-a-component'
  | 'malformed'
  | 'wrong-world'
  | 'too-large'
  | 'no-memory'
  | 'several-memories'
  | 'memory64'
  | 'several-core-modules'
  | 'too-much-memory'
  | 'table-mutation'
  | 'unsupported-instruction'
  | 'unsupported-section'
  | 'too-many-globals'
  | 'build-failed';

/** An image was refused. The message names the image's fault and what to do about it. */
export class GuestImageError extends Error {
  readonly reason: GuestImageReason;

  constructor(reason: GuestImageReason, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'GuestImageError';
    this.reason = reason;
  }
}
