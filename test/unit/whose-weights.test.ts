import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { modelConfig } from "../../lib/cli/modelFlags.js";
import { whoseWeights } from "../../lib/cli/whoseWeights.js";
import { writeChecked, writeJson } from "../../lib/files/json.js";
import { lockExperiment } from "../../lib/train/lock.js";

let folder: string;
let experiment: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "cellsam-whose-"));
  experiment = join(folder, "first");
  await writeJson(join(experiment, "experiment_config.json"), { size: "tiny", tile_size: 128, inference: {} });
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const run = (status: string, folds = 1, stages = [1, 2]) =>
  writeJson(join(experiment, "resume", "run.json"), { status, splits: Array.from({ length: folds }), config: { stages } });

async function model(stage: 1 | 2, epoch: number, fold = 1): Promise<string> {
  const models = join(experiment, "models", `fold_${fold}`);
  const name = `best_model_s${stage}.pth`;
  await writeJson(join(models, name), {});
  await writeChecked(join(models, "manifest.json"), { files: { [name]: { kind: "best", stage, epoch } } });
  return join(models, name);
}

test("a finished training is named by stage, epoch and fold", async () => {
  await run("finished", 5);
  expect(await whoseWeights(experiment, await model(2, 12, 3))).toBe(
    `weights: stage 2, epoch 12, fold 3 of 5 of ${experiment}`,
  );
});

test("a training that still runs is said to, and which part has not trained yet", async () => {
  await run("running");
  const weights = await model(1, 3);
  const unlock = await lockExperiment(folder, "first");
  const text = await whoseWeights(experiment, weights);
  await unlock();
  expect(text).toContain("weights: stage 1, epoch 3 of ");
  expect(text).toContain("training still runs");
  expect(text).toContain("only stage 1 has trained");
  expect(await whoseWeights(experiment, weights)).toMatch(/ended before it was done; `train --resume`/);
  for (const line of text.split("\n").slice(1)) expect(line.length).toBeLessThan(80);
});

test("predict and evaluate say it on stderr, but not of other weights", async () => {
  await run("finished");
  await model(2, 7);
  const stderr = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  try {
    await modelConfig({ experiment });
    expect(stderr.mock.calls.join()).toContain("weights: stage 2, epoch 7 of");
    stderr.mockClear();
    await modelConfig({ experiment, weights: "other.pth" });
    expect(stderr).not.toHaveBeenCalled();
  } finally {
    stderr.mockRestore();
  }
});

test("a training without an epoch has no model yet", async () => {
  await run("running");
  await expect(modelConfig({ experiment })).rejects.toThrow(/no trained model of fold 1 yet: its first epoch is not finished/);
});
