/** What a wire cannot do, in one sentence: what was wrong, where, and what to do about it. */

export class WireError extends Error {
  override readonly name = 'WireError';
}
