// Scores after epochs: they are those of the epoch's weights, and a training ends in the same bits with them and without.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { ExperimentInput } from "../../lib/config/experiment.js";
import type { EpochEvent, TrainingEvent } from "../../lib/events.js";
import { toSnake } from "../../lib/spelling.js";
import { ExperimentRunner } from "../../lib/train/experiment.js";
import type { RunnerOptions } from "../../lib/train/options.js";
import { isPretend, longTest } from "../device.js";
import { outcome, syntheticRuns } from "./runner-runs.js";
import { smallNetwork } from "./training-tiles.js";

const { newOutput, settings } = syntheticRuns(5, 64);
// The digits of a sum depend on the threads that share it.
const threads = 1;
// Trained weights have scores that differ, but are a minute's work for a pretend GPU.
const network = isPretend
  ? ({ size: "tiny", sizeOverrides: toSnake(smallNetwork) as Record<string, number> } as const)
  : ({ weights: "cellsam-tiny" } as const);

function input(more: Partial<ExperimentInput> = {}): ExperimentInput {
  const stage1Config = { totalEpochs: 4, learningRate: 1e-3 };
  const stage2Config = { totalEpochs: 3, freezeImageEncoder: false, trainNeckOnly: false, freezeMaskDecoder: false };
  const stages = { threads, augmentation: true, stage1Config, stage2Config };
  const run = { strategy: "train_val_split", valRatio: 0.4, saveVisualizations: false, tileSize: 64 } as const;
  return settings(newOutput(), { ...run, ...network, ...stages, ...more });
}

async function epochsOf(config: ExperimentInput, options: RunnerOptions = {}, see: (event: TrainingEvent) => void = () => {}) {
  const epochs: EpochEvent[] = [];
  const run = new ExperimentRunner(config, options);
  for await (const event of run.events()) {
    see(event);
    if (event.type === "epoch") epochs.push(event);
  }
  return { epochs, results: await run.run() };
}

/** Weights, losses and results. */
const filesOf = ({ outputDir }: ExperimentInput) => outcome(outputDir as string);

describe("scores after epochs", () => {
  longTest("are of the epochs that were asked for, and change no weight and no result", async () => {
    const [with2, without] = [input({ evaluateEvery: 2 }), input()];
    const { epochs, results } = await epochsOf(with2);
    expect((await epochsOf(without)).epochs.every(({ scores }) => scores === null)).toBe(true);
    expect(epochs.map(({ stage, epoch, scores }) => [stage, epoch, scores !== null])).toEqual([
      ...[1, 2, 3, 4].map((epoch) => [1, epoch, epoch % 2 === 0]),
      ...[1, 2, 3].map((epoch) => [2, epoch, epoch % 2 === 0]),
    ]);
    expect(await filesOf(with2)).toEqual(await filesOf(without));
    expect(await readFile(join(with2.outputDir as string, "run/logs/experiment.log"), "utf8")).toMatch(
      /epoch 2\/4: .*; F1 \d\.\d{4};/,
    );
    expect(results[0]?.error).toBeNull();
  });

  longTest("of the epoch whose weights are the model are those of the model", async () => {
    // Without validation the last epoch's weights are the model, and the images are those that train.
    const config = input({ strategy: "full_dataset", stages: [2], evaluateEvery: 1 });
    const { epochs, results } = await epochsOf(config);
    const { f1, pq, meanPromptIou } = results[0]?.evaluation ?? {};
    expect(epochs.at(-1)?.scores).toMatchObject({ f1, pq, mean_prompt_iou: meanPromptIou });
    // An untrained network takes everything for a cell, also after three epochs.
    if (!isPretend) expect(epochs[0]?.scores?.mean_prompt_iou).not.toBe(meanPromptIou);
  });

  it("are left out of a stage 1 whose head sees another backbone than predictions do", async () => {
    const { epochs } = await epochsOf(
      input({
        evaluateEvery: 1,
        stage1Config: { totalEpochs: 1, stage1Type: "image_encoder" },
        stage2Config: { totalEpochs: 1 },
      }),
    );
    expect(epochs.map(({ stage, scores }) => [stage, scores !== null])).toEqual([
      [1, false],
      [2, true],
    ]);
  });

  longTest("of a run that is stopped while they are measured are measured once more, and the run ends the same", async () => {
    const [stopped, whole] = [input({ evaluateEvery: 1, stages: [1] }), input({ evaluateEvery: 1, stages: [1] })];
    const { epochs } = await epochsOf(whole);
    const controller = new AbortController();
    const reason = new Error("enough");
    let trained = 0;
    const stopWhileMeasuring = (event: TrainingEvent) => {
      if (event.type === "epoch") trained = event.epoch;
      if (event.type === "progress" && event.task === "evaluate" && trained === 1) controller.abort(reason);
    };
    await expect(epochsOf(stopped, { signal: controller.signal }, stopWhileMeasuring)).rejects.toBe(reason);
    const { epochs: rest } = await epochsOf(stopped, { resume: true });
    expect(rest.map(({ epoch, scores }) => [epoch, scores])).toEqual(
      epochs.slice(1).map(({ epoch, scores }) => [epoch, scores]),
    );
    expect(await filesOf(stopped)).toEqual(await filesOf(whole));
  });
});
