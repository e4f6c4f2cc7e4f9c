/** Options that nobody knows are refused, in the words of who asked: camelCase in a program, flags on the command line. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { inFlags } from "../../lib/cli/flags.js";
import { readImage } from "../../lib/data/readImage.js";
import { openCellTableWriter } from "../../lib/data/writers/cellTable.js";
import { writeGeojson } from "../../lib/data/writers/geojson.js";
import { assemblePrediction, type Candidates } from "../../lib/engine/inference.js";
import { openSession, type Session } from "../../lib/engine/session.js";
import { evaluateFolders, evaluateWeights } from "../../lib/evaluation/folders.js";
import { planExperiment } from "../../lib/plan/experiment.js";
import { ExperimentRunner } from "../../lib/train/experiment.js";
import { testDevice } from "../device.js";

const config = { imgPath: "a", maskPath: "b", outputDir: "c", outputName: "d" };

let session: Session;
beforeAll(async () => {
  session = await openSession({ size: "tiny", device: testDevice, threads: 1 });
});
afterAll(() => session?.dispose());

const image = { data: new Uint8Array(64 * 64), shape: [64, 64] };
const labels = { data: new Int32Array(64 * 64), shape: [64, 64] };

describe("unknown options", () => {
  const calls: [string, () => Promise<unknown>, string][] = [
    [
      "openSession",
      () => openSession({ size: "tiny", presicion: "bf16" } as never),
      "unknown option presicion; did you mean precision?",
    ],
    [
      "predict",
      () => session.predict({ image, minArae: 3 } as never),
      "predict: unknown option minArae; did you mean minArea?",
    ],
    ["candidates", () => session.candidates({ image, flor: 0.1 } as never), "unknown option flor; did you mean floor?"],
    [
      "promptIou",
      () => session.promptIou({ image, labels, tilSize: 64 } as never),
      "unknown option tilSize; did you mean tileSize?",
    ],
    ["save", () => session.save("/nowhere/a.pth", { formt: "pth" } as never), "unknown option formt; did you mean format?"],
    [
      "beginStage",
      () => session.beginStage({ stage: 1, epochs: 1, stepsPerEpoch: 1, learningRat: 1e-3 }),
      "beginStage: unknown option learningRat; did you mean learningRate?",
    ],
    [
      "beginStage of the other stage",
      () => session.beginStage({ stage: 1, epochs: 1, stepsPerEpoch: 1, cudaGraphs: "off" }),
      "beginStage: unknown option cudaGraphs, which is one of another call or stage",
    ],
    [
      "assemblePrediction",
      () => assemblePrediction({} as Candidates, { minAre: 3 } as never),
      "unknown option minAre; did you mean minArea?",
    ],
    ["writeGeojson", () => writeGeojson("/nowhere/a.geojson", { labels }, { clas: "x" } as never), "unknown option clas"],
    ["openCellTableWriter", () => openCellTableWriter("/nowhere/a.csv", { chanels: 1 } as never), "did you mean channels?"],
    ["readImage", () => readImage("a.png", { chanels: [0] } as never), "unknown option chanels; did you mean channels?"],
    ["a plan", () => planExperiment(config, { prob: true } as never), "did you mean probe?"],
    ["a run", async () => new ExperimentRunner(config, { overwrit: true } as never), "did you mean overwrite?"],
    ["a comparison of folders", () => evaluateFolders("a", "b", { iouTreshold: 0.5 } as never), "did you mean iouThreshold?"],
    ["a measurement of weights", () => evaluateWeights("a", "b", {}, { keepgoing: true } as never), "did you mean keepGoing?"],
  ];

  it.each(calls)("of %s are refused with the nearest", async (_, call, message) => {
    await expect(call()).rejects.toMatchObject({ code: "ERR_INVALID_ARGUMENT", message: expect.stringContaining(message) });
  });
});

describe("the command line", () => {
  it("says flags where a message of the API says options", () => {
    expect(inFlags("use `resume: true` to continue or `overwrite: true` to replace it, `skipExisting: true` to keep it")).toBe(
      "use --resume to continue or --overwrite to replace it, --skip-existing to keep it",
    );
    expect(inFlags("experiment: imgPath: is missing (img_path in files)")).toBe(
      "experiment: --images (img_path in files) is missing",
    );
  });

  it("leaves alone what is no option, such as paths and settings of files", () => {
    for (const text of ["/data/overwrite/a.tif exists already", "set `binary_masks: true`", "weights: is missing (x in files)"])
      expect(inFlags(text)).toBe(text);
  });
});
