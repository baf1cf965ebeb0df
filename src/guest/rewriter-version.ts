/**
 * Part of the cache key: to be raised whenever the same image would come out as different builds. In a file of its own
 * because the cached path must not load the rewriter.
 */
export const REWRITER_VERSION = 5;
