import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    setupFiles: ["test/warnings.ts"],
    // Two cores: native programs and trainings must not starve each other.
    maxWorkers: 2,
    // To end what hangs, and for nothing else: beside other work a test may take ten times as long.
    testTimeout: 900_000,
    hookTimeout: 900_000,
    // binding.node's exit guards are per process, and child processes are the rule in these tests.
    pool: "forks",
  },
});
