import { defineConfig } from 'vitest/config';

// Tests run as compiled JavaScript: a worker's entry file then resolves exactly as it does for a user.
export default defineConfig({
  test: {
    include: ['dist/test/**/*.test.js'],
    exclude: ['dist/test/bench/**'],
    pool: 'forks',
    maxWorkers: 2,
    // limits on patience: longer than any wait within a test, whose failure says what did not come
    testTimeout: 180_000,
    hookTimeout: 180_000,
  },
});
