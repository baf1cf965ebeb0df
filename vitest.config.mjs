import { defineConfig } from 'vitest/config';

// Tests run as compiled JavaScript: a worker's entry file then resolves exactly as it does for a user.
export default defineConfig({
  test: {
    include: ['dist/test/**/*.test.js'],
    exclude: ['dist/test/bench/**'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
