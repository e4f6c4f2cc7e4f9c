import { defineConfig } from "vitest/config";
import { hasPretendDevice, pretendEnvironment, pretendFolder } from "./test/gpu/pretend.mjs";

/** What trains or predicts with the real engine: once more on the pretend GPUs. */
const onGpu = [
  "test/gpu/{distributed,graphs,predict,row_column,training}.test.ts",
  "test/unit/training-*.test.ts",
  "test/unit/{features-run,late-losses}.test.ts",
];

const pretendGpu = (device: string) => ({
  extends: true as const,
  test: {
    name: `pretend ${device}`,
    include: onGpu,
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
      { extends: true, test: { name: "here", include: ["test/**/*.test.ts"], setupFiles: ["test/warnings.ts"] } },
      ...(hasPretendDevice ? [pretendGpu("cuda"), pretendGpu("cuda:1")] : []),
    ],
    // To end what hangs, and for nothing else: beside other work a test may take ten times as long.
    testTimeout: 900_000,
    hookTimeout: 900_000,
    // binding.node's exit guards are per process, and child processes are the rule in these tests.
    pool: "forks",
  },
});
