import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { decodeLabels } from "../../lib/data/decode.js";
import { generateSynthetic } from "../../lib/data/synthetic.js";
import { readJson } from "../../lib/files/json.js";
import { cellsam, type Finished } from "./cellsam.js";

let folder: string;
let data: { imgPath: string; maskPath: string };
let config: string;
let undisturbed: Finished;

/** Three training images make three steps an epoch, so that a run can be stopped between them. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cellsam-e2e-"));
  data = await generateSynthetic({ directory: join(folder, "data"), images: 4, size: 96, seed: 5 });
  config = join(folder, "config.yaml");
  const stage = "{total_epochs: 2, learning_rate: 1.0e-3, scheduler: cosine, warmup_fraction: 0.05}";
  await writeFile(
    config,
    [
      `img_path: ${data.imgPath}`,
      `mask_path: ${data.maskPath}`,
      `output_dir: ${join(folder, "out")}`,
      "size: tiny\ndevice: cpu\nthreads: 1\ntile_size: 96\naugmentation: true\nstrategy: train_val_split\nval_ratio: 0.25",
      `stage1_config: ${stage}\nstage2_config: ${stage}`,
    ].join("\n"),
  );
  undisturbed = await train("whole");
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const root = (name: string) => join(folder, "out", name);
const train = (name: string, more: string[] = [], watch?: Parameters<typeof cellsam>[1]) =>
  cellsam(["train", "-c", config, "--name", name, "--json", ...more], watch);

/** What interruptions must not change: every weight, every loss, every metric. */
async function outcome(name: string) {
  const manifest = await readJson<{ files: Record<string, { sha256: string }> }>(
    join(root(name), "models/fold_1/manifest.json"),
  );
  const [result] = await readJson<Record<string, unknown>[]>(join(root(name), "results/individual_results.json"));
  const { final_model_path: _path, ...rest } = result as Record<string, unknown>;
  const metrics = await Promise.all([1, 2].map((stage) => readJson(join(root(name), `metrics/stage${stage}_metrics.json`))));
  return { files: manifest.files, rest, metrics, images: await readJson(join(root(name), "results/per_image.json")) };
}

describe("cellsam train", () => {
  it("trains both stages and writes the whole tree", async () => {
    expect(undisturbed.stderr).toBe("");
    expect(undisturbed.code).toBe(0);
    const files = (await readdir(root("whole"), { recursive: true })).map(String);
    for (const file of [
      "experiment_config.json",
      "logs/experiment.log",
      "models/fold_1/best_model_s1.pth",
      "models/fold_1/best_model_s2.pth",
      "results/individual_results.json",
      "results/aggregated_results.json",
      "metrics/stage1_metrics.json",
      "metrics/stage2_metrics.json",
      "splits.json",
    ]) {
      expect(files).toContain(file);
    }
    const { rest } = await outcome("whole");
    for (const [stage, epochs] of [
      ["stage1", 2],
      ["stage2", 2],
    ] as const) {
      const { final_epoch, train_history } = rest[stage] as {
        final_epoch: number;
        train_history: Record<string, number[]>;
      };
      expect(final_epoch).toBe(epochs);
      expect(train_history.total_loss).toHaveLength(epochs);
      for (const loss of train_history.total_loss ?? []) expect(loss).toBeGreaterThan(0);
    }
    const { mean_prompt_iou } = rest.evaluation as { mean_prompt_iou: number };
    expect(mean_prompt_iou).toBeGreaterThan(0);
    expect(mean_prompt_iou).toBeLessThanOrEqual(1);
    const log = (await readFile(join(root("whole"), "logs/events.jsonl"), "utf8")).trim().split("\n");
    const steps = log.map((line) => JSON.parse(line)).filter(({ type }) => type === "step");
    const wanted = [1, 2].flatMap((stage) => [1, 2].flatMap((epoch) => [1, 2, 3].map((step) => [stage, epoch, step])));
    expect(steps.map(({ stage, epoch, step }) => [stage, epoch, step])).toEqual(wanted);
    expect(undisturbed.events.at(-1)).toMatchObject({ type: "result" });
    expect(undisturbed.events.some((event) => event.type === "step")).toBe(true);
  });

  it("gives the same model again for the same seed, and another for another", async () => {
    expect((await train("again")).code).toBe(0);
    expect(await outcome("again")).toEqual(await outcome("whole"));
    expect((await train("other", ["--seed", "7"])).code).toBe(0);
    expect((await outcome("other")).files).not.toEqual((await outcome("whole")).files);
  });

  it.each([
    ["SIGTERM", 1, 1, 1],
    ["SIGUSR1", 2, 2, 2],
    ["SIGINT", 1, 2, 1],
    ["SIGHUP", 2, 1, 1],
  ] as const)("saves on %s in stage %i, epoch %i, and goes on to the same result", async (signal, stage, epoch, step) => {
    const name = `stopped-${signal}`;
    let sent = false;
    const stopped = await train(name, [], (event, child) => {
      if (sent || event.type !== "step" || event.stage !== stage || event.epoch !== epoch || (event.step as number) < step)
        return;
      sent = child.kill(signal);
    });
    expect(stopped.code).toBe(75);
    expect(stopped.stderr).toContain("--resume");
    const resumed = await train(name, ["--resume"]);
    expect(resumed.code).toBe(0);
    expect(await outcome(name)).toEqual(await outcome("whole"));
  });

  it("stopped before anything was saved, keeps the promise that --resume goes on", async () => {
    const stopped = await train("early", [], (event, child) => {
      // Once: a second signal would end the process at once.
      if (event.type === "progress" && event.task === "check" && event.done === 1) child.kill("SIGTERM");
    });
    expect([stopped.code, stopped.signal]).toEqual([75, null]);
    expect(stopped.stderr).toContain("--resume");
    expect((await train("early", ["--resume"])).code).toBe(0);
    expect(await outcome("early")).toEqual(await outcome("whole"));
  });

  it.each([
    [1, 1],
    [1, 2],
    [2, 1],
    [2, 2],
  ])("killed in stage %i, epoch %i, goes on to the same result", async (stage, epoch) => {
    const name = `killed-${stage}-${epoch}`;
    const killed = await train(name, [], (event, child) => {
      if (event.type === "step" && event.stage === stage && event.epoch === epoch) child.kill("SIGKILL");
    });
    expect(killed.signal).toBe("SIGKILL");
    const resumed = await train(name, ["--resume"]);
    expect(resumed.code).toBe(0);
    expect(await outcome(name)).toEqual(await outcome("whole"));
  });

  it("ends at once on a second signal", async () => {
    const { code } = await train("impatient", [], (event, child) => {
      if (event.type !== "step") return;
      child.kill("SIGTERM");
      child.kill("SIGINT");
    });
    // 128 + the number of whichever of the two was delivered last.
    expect([130, 143]).toContain(code);
  });

  it("does not overwrite, and resumes only what it was", async () => {
    const again = await train("whole");
    expect(again.code).toBe(2);
    expect(again.stderr).toContain("ERR_OUTPUT_EXISTS");
    expect(again.events).toEqual([expect.objectContaining({ type: "error", code: "ERR_OUTPUT_EXISTS" })]);
    const changed = await train("whole", ["--resume", "--lr1", "0.5"]);
    expect(changed.code).toBe(2);
    expect(changed.stderr).toContain("stage1_config.learning_rate");
  });

  it("lists everything that is wrong with the data, and writes nothing", async () => {
    const images = join(folder, "broken");
    await generateSynthetic({ directory: images, images: 2, size: 64, seed: 1 });
    await writeFile(join(images, "images/synthetic_000.png"), "no picture");
    await rm(join(images, "masks/synthetic_001.png"));
    const result = await train("broken", ["--images", join(images, "images"), "--masks", join(images, "masks")]);
    expect(result.code).toBe(2);
    expect(result.stderr).toContain("synthetic_000.png");
    expect(result.stderr).toContain("synthetic_001");
    expect(result.stderr).not.toContain("    at ");
    await expect(readdir(root("broken"))).rejects.toMatchObject({ code: "ENOENT" });
  });
});

describe("cellsam finetune", () => {
  it("takes the Python keywords", async () => {
    const keywords = [
      "strategy=train_val_split",
      "total_epochs_s1=1",
      "total_epochs_s2=1",
      "size=tiny",
      "device=cpu",
      "tile_size=96",
    ];
    const where = [`output_dir=${join(folder, "out")}`, "threads=1"];
    const result = await cellsam(["finetune", data.imgPath, data.maskPath, "python", ...keywords, ...where]);
    expect(result.stderr).toContain("stage 2 epoch 1/1");
    expect(result.code).toBe(0);
    expect(result.stdout).toContain("best_model_s2.pth");
  });
});

describe("cellsam predict and evaluate", () => {
  it.each([
    ["tiff", ".tif"],
    ["png", ".png"],
    ["npy", ".npy"],
  ])("D36: write %s labels whose ids match the scores, and measure them like the training did", async (format, extension) => {
    const out = join(folder, `predicted-${format}`);
    const settings = ["inference.bboxThreshold=0.01", "inference.iouThreshold=0"];
    const model = ["--experiment", root("whole"), ...settings.flatMap((setting) => ["--set", setting])];
    const predicted = await cellsam(["predict", data.imgPath, "--out", out, "--format", format, "--json", ...model]);
    expect(predicted.code).toBe(0);
    const scores = await readJson<{ image: string; cells: number; instances: { id: number }[] }[]>(join(out, "scores.json"));
    expect(scores).toHaveLength(4);
    for (const { image, cells, instances } of scores) {
      const { data: labels, shape } = await decodeLabels(join(out, `${image}${extension}`));
      expect(shape).toEqual([96, 96]);
      expect([...new Set(labels)].filter((id) => id > 0).sort((a, b) => a - b)).toEqual(instances.map(({ id }) => id));
      expect(instances).toHaveLength(cells);
    }
    const fromFolder = join(folder, `evaluation-${format}.json`);
    const evaluated = await cellsam(["evaluate", "--masks", data.maskPath, "--predictions", out, "--out", fromFolder]);
    expect(evaluated.code).toBe(0);
    const fromModel = await cellsam(["evaluate", "--masks", data.maskPath, "--images", data.imgPath, "--json", ...model]);
    expect(fromModel.code).toBe(0);
    const { mean_prompt_iou, ...summary } = JSON.parse(fromModel.stdout).summary;
    expect(mean_prompt_iou).toBeGreaterThan(0);
    expect(mean_prompt_iou).toBeLessThanOrEqual(1);
    expect((await readJson<{ summary: object }>(fromFolder)).summary).toEqual(summary);
  });

  it("D80: find the best threshold of a trained model, and predict a folder with it to the same score", async () => {
    const tuned = join(folder, "tuned.json");
    const sets = (settings: object) =>
      Object.entries(settings).flatMap(([key, value]) => ["--set", `inference.${key}=${value}`]);
    const model = ["--experiment", root("whole"), ...sets({ iouThreshold: 0, minArea: 1 })];
    const truth = ["--masks", data.maskPath];
    const tune = ["evaluate", ...truth, "--images", data.imgPath, ...model, "--optimize-threshold", "f1", "--out", tuned];
    expect((await cellsam(tune)).code).toBe(0);
    type Best = { f1: { settings: Record<string, unknown>; metrics: object } };
    const { optimal_thresholds: best } = await readJson<{ optimal_thresholds: Best }>(tuned);
    const { bbox_threshold: bboxThreshold, adaptive_threshold: adaptiveThreshold } = best.f1.settings;
    const out = join(folder, "with-best");
    const how = [...model, ...sets({ bboxThreshold, adaptiveThreshold })];
    expect((await cellsam(["predict", data.imgPath, "--out", out, ...how])).code).toBe(0);
    const measured = await cellsam(["evaluate", ...truth, "--predictions", out, "--json"]);
    const { precision, recall, f1, dice } = JSON.parse(measured.stdout).summary;
    expect(best.f1.metrics).toMatchObject({ precision, recall, f1, dice });
  });

  it("take the detection threshold that the training tuned, but not over one that is given", async () => {
    const tuned = root("tuned");
    await cp(root("whole"), tuned, { recursive: true });
    const file = join(tuned, "results", "individual_results.json");
    const [result] = await readJson<object[]>(file);
    await writeFile(file, JSON.stringify([{ ...result, tuned_threshold: 0.0125 }]));
    const scores = async (experiment: string, threshold?: number) => {
      const fixed = ["--set", `inference.bbox_threshold=${threshold}`, "--set", "inference.adaptive_threshold=false"];
      const model = ["--experiment", experiment, "--set", "inference.iou_threshold=0", ...(threshold ? fixed : [])];
      const done = await cellsam(["evaluate", "--masks", data.maskPath, "--images", data.imgPath, "--json", ...model]);
      return { ...JSON.parse(done.stdout), stderr: done.stderr };
    };
    const { summary, stderr } = await scores(tuned);
    expect(stderr).toContain("with the detection threshold that it tuned, 0.0125");
    expect(summary).toEqual((await scores(root("whole"), 0.0125)).summary);
    expect(summary).not.toEqual((await scores(root("whole"))).summary);
    expect((await scores(tuned, 0.9)).summary).toEqual((await scores(root("whole"), 0.9)).summary);
  });

  it("find a copy of the true masks perfect", async () => {
    const copy = join(folder, "copy");
    await cp(data.maskPath, copy, { recursive: true });
    const result = await cellsam(["evaluate", "--masks", data.maskPath, "--predictions", copy, "--json"]);
    expect(result.code).toBe(0);
    const { summary } = JSON.parse(result.stdout);
    expect(summary).toMatchObject({ precision: 1, recall: 1, f1: 1 });
  });

  it("refuse to overwrite, and a model that is none", async () => {
    const out = join(folder, "predicted-tiff");
    const again = await cellsam(["predict", data.imgPath, "--out", out, "--experiment", root("whole")]);
    expect(again.code).toBe(2);
    expect(again.stderr).toContain("ERR_OUTPUT_EXISTS");
    const text = join(folder, "no-model.pth");
    await writeFile(text, await readFile(config));
    const broken = await cellsam([
      "predict",
      data.imgPath,
      "--out",
      join(folder, "none"),
      "--weights",
      text,
      "--size",
      "tiny",
      "--device",
      "cpu",
    ]);
    expect(broken.code).toBe(2);
    expect(broken.stderr).toMatch(/^ERR_/);
  });
});
