import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    setupFiles: ["test/warnings.ts"],
    // Two cores: native programs and trainings must not starve each other.
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // binding.node's exit guards are per process, and child processes are the rule in these tests.
    pool: "forks",
  },
});
