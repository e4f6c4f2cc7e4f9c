import { defineConfig } from "vitest/config";
import { onGpu, onlyOnCpu } from "./test/gpu/onGpu.mjs";
import { hasPretendDevice, pretendEnvironment, pretendFolder } from "./test/gpu/pretend.mjs";

const pretendGpu = (device: string) => ({
  extends: true as const,
  test: {
    name: `pretend ${device}`,
    include: onGpu.map((file) => `test/${file}`),
    exclude: Object.keys(onlyOnCpu).map((file) => `test/${file}`),
    setupFiles: ["test/warnings.ts", "test/gpu/pretendSetup.ts"],
    env: pretendEnvironment({ CELLSAM_TEST_DEVICE: device }),
  },
});

if (!hasPretendDevice) console.warn(`SKIPPED: no test runs on a pretend GPU, since ${pretendFolder} is not built`);

export default defineConfig({
  test: {
    // Two cores: native programs and trainings must not starve each other.
    maxWorkers: 2,
    projects: [
      {
        extends: true,
        test: { name: "here", include: ["test/**/*.test.ts"], setupFiles: ["test/warnings.ts", "test/sessions.ts"] },
      },
      ...(hasPretendDevice ? [pretendGpu("cuda"), pretendGpu("cuda:1")] : []),
    ],
    // To end what hangs, and for nothing else: beside other work a test may take ten times as long.
    testTimeout: 900_000,
    hookTimeout: 900_000,
    // binding.node's exit guards are per process, and child processes are the rule in these tests.
    pool: "forks",
  },
});
