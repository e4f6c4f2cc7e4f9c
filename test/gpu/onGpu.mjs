/** Which test files run once more on the pretend GPUs: all that train or predict with the real engine in their own process. */

/** Paths below test/, where * is any text. */
export const onGpu = [
  "gpu/distributed.test.ts",
  "gpu/features.test.ts",
  "gpu/graphs.test.ts",
  "gpu/predict.test.ts",
  "gpu/row_column.test.ts",
  "gpu/training.test.ts",
  "unit/bench-session.test.ts",
  "unit/config.test.ts",
  "unit/epoch-scores.test.ts",
  "unit/features-run.test.ts",
  "unit/held-out.test.ts",
  "unit/image-view.test.ts",
  "unit/images-at-once.test.ts",
  "unit/late-losses.test.ts",
  "unit/option-names.test.ts",
  "unit/plan.test.ts",
  "unit/predict-formats.test.ts",
  "unit/priority.test.ts",
  "unit/settings.test.ts",
  "unit/shipped-weights.test.ts",
  "unit/thresholds.test.ts",
  "unit/tiles.test.ts",
  "unit/training-*.test.ts",
];

/** Files that open a model and stay on the CPU, though a pattern above may name them, with the reason. */
export const onlyOnCpu = {
  "unit/training-threads.test.ts": "a GPU trains with one thread",
  "unit/distributed.test.ts": "gpu/distributed.test.ts is its like for GPUs",
  "unit/fold-pool.test.ts": "its subject is the processes that train, not what they compute",
  "unit/session-sharing.test.ts": "sessions that divide the cores of a CPU",
};

/** @param {string} file below test/ */
export function isPlaced(file) {
  return file in onlyOnCpu || runsOnGpu(file);
}

/** @param {string} file below test/ */
function runsOnGpu(file) {
  return onGpu.some((pattern) => {
    const [start = "", end] = pattern.split("*");
    return end === undefined ? file === start : file.startsWith(start) && file.endsWith(end);
  });
}
