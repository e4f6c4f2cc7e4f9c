import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CommanderError } from "commander";
import { describe, expect, it, vi } from "vitest";
import { evaluateCommand } from "../../lib/cli/evaluate.js";
import { exitCodeOf } from "../../lib/cli/exit.js";
import { modelConfig } from "../../lib/cli/modelFlags.js";
import { clock, Progress, secondsLeft } from "../../lib/cli/progress.js";
import { stoppable } from "../../lib/cli/stop.js";
import { summaryTable } from "../../lib/cli/table.js";
import { trainConfig } from "../../lib/cli/train.js";
import { writeLabels } from "../../lib/data/write.js";
import { CellsamError } from "../../lib/errors.js";
import type { StepEvent } from "../../lib/events.js";
import { writeJson } from "../../lib/files/json.js";

const folder = () => mkdtemp(join(tmpdir(), "cellsam-cli-"));

describe("exit codes", () => {
  it.each([
    ["ERR_CONFIG", 2],
    ["ERR_DATASET", 2],
    ["ERR_SPLIT", 2],
    ["ERR_OUTPUT_EXISTS", 2],
    ["ERR_RESUME", 2],
    ["ERR_LABEL_VALUES", 2],
    ["ERR_CHECKPOINT_UNSAFE", 2],
    ["ERR_CHECKPOINT_WRITE", 1],
    ["ERR_DEVICE_UNAVAILABLE", 2],
    ["ERR_DOWNLOAD", 3],
    ["ERR_LIBTORCH_NOT_FOUND", 3],
    ["ERR_LIBTORCH_VERSION", 3],
    ["ERR_NATIVE_LOAD", 3],
    ["ERR_STOPPED", 75],
    ["ERR_NON_FINITE_LOSS", 1],
    ["ERR_OUT_OF_MEMORY", 1],
  ] as const)("%s ends with %i", (code, exit) => {
    expect(exitCodeOf(new CellsamError(code, ""))).toBe(exit);
  });

  it("are 1 for anything unknown, 0 for help and 2 for a wrong call", () => {
    expect(exitCodeOf(new TypeError("x"))).toBe(1);
    expect(exitCodeOf(new CommanderError(0, "commander.helpDisplayed", ""))).toBe(0);
    expect(exitCodeOf(new CommanderError(1, "commander.unknownOption", ""))).toBe(2);
  });
});

describe("configuration of a call", () => {
  it("is the file, the flags over it, --set over both", async () => {
    const config = join(await folder(), "c.yaml");
    await writeFile(config, "img_path: a\nbatch_size: 4\nseed: 1\nstage1_config: {total_epochs: 9, patience: 2}\n");
    const flags = { config, images: "b", epochs1: 3, lr2: 0.001, set: ["seed=5", "stage1_config.gradClip=0"], resume: true };
    expect(await trainConfig(flags)).toEqual({
      imgPath: "b",
      batchSize: 4,
      seed: 5,
      stage1Config: { totalEpochs: 3, patience: 2, gradClip: 0 },
      stage2Config: { learningRate: 0.001 },
    });
  });

  it("of a prediction comes from the experiment that trained the model", async () => {
    const experiment = await folder();
    await expect(modelConfig({ experiment, set: [] })).rejects.toMatchObject({ code: "ERR_CONFIG" });
    const inference = { tile_size: null, min_area: 9 };
    await writeJson(join(experiment, "experiment_config.json"), {
      size: "tiny",
      size_overrides: { depth: 3 },
      tile_size: 128,
      inference,
      img_path: "x",
    });
    await writeJson(join(experiment, "models/fold_1/best_model_s1.pth"), {});
    const stage1Only = await modelConfig({
      experiment,
      set: ["inference.minArea=4"],
      device: "cpu",
      precision: "bf16",
      threads: 1,
    });
    expect(stage1Only).toMatchObject({
      size: "tiny",
      sizeOverrides: { depth: 3 },
      device: "cpu",
      precision: "bf16",
      threads: 1,
      inference: { tileSize: 128, minArea: 4 },
    });
    expect(stage1Only.weights).toMatch(/best_model_s1\.pth$/);
    expect(stage1Only).not.toHaveProperty("imgPath");
    // A file changes what it names and leaves the experiment's other settings of the group alone.
    const config = join(experiment, "c.yaml");
    await writeFile(config, "inference: {bbox_threshold: 0.2}\n");
    expect((await modelConfig({ experiment, config })).inference).toEqual({ tileSize: 128, minArea: 9, bboxThreshold: 0.2 });
    await writeJson(join(experiment, "models/fold_1/best_model_s2.pth"), {});
    expect((await modelConfig({ experiment, set: [] })).weights).toMatch(/best_model_s2\.pth$/);
  });
});

describe("evaluate --out", () => {
  it("replaces a file only when told to", async () => {
    const root = await folder();
    const out = join(root, "metrics.json");
    await writeFile(out, "mine");
    const labels = { data: Int32Array.of(1, 1, 0, 2), shape: [2, 2] as const };
    for (const side of ["truth", "predicted"]) await writeLabels(join(root, side, "a.png"), labels);
    const evaluate = (...more: string[]) =>
      evaluateCommand().parseAsync(
        ["--masks", join(root, "truth"), "--predictions", join(root, "predicted"), "--out", out, "--json", ...more],
        { from: "user" },
      );
    const stdout = vi.spyOn(process.stdout, "write").mockReturnValue(true);
    try {
      await expect(evaluate()).rejects.toMatchObject({ code: "ERR_OUTPUT_EXISTS", detail: { path: out } });
      expect(await readFile(out, "utf8")).toBe("mine");
      await evaluate("--overwrite");
    } finally {
      stdout.mockRestore();
    }
    expect(JSON.parse(await readFile(out, "utf8")).images).toHaveLength(1);
  });
});

describe("progress", () => {
  const step: StepEvent = {
    type: "step",
    stage: 1,
    epoch: 2,
    step: 5,
    steps: 10,
    images: 20,
    imagesPerSecond: 2,
    lr: 1e-4,
    gradNorm: 1,
    losses: { total_loss: 1.25 },
  };
  function shown(isTTY: boolean) {
    const texts: string[] = [];
    const stream = { isTTY, columns: 200, write: (text: string) => texts.push(text) };
    return { texts, progress: new Progress({ epochs: { 1: 3, 2: 1 }, stream }) };
  }

  it("knows the time left: the rest of this epoch and the epochs after it", () => {
    // 20 more images now, 40 in the last epoch, 2 a second.
    expect(secondsLeft(step, 3)).toBe(30);
    expect(clock(3725.4)).toBe("1:02:05");
  });

  it("is a bar on a terminal, taken away for whole lines", () => {
    const { texts, progress } = shown(true);
    progress.show(step);
    progress.show({ type: "notice", level: "warning", message: "careful" });
    expect(texts[0]).toContain("stage 1 epoch 2/3 [############............] 5/10 loss 1.2500 2.00 images/s left 0:00:30");
    expect(texts.slice(1)).toEqual(["\r\x1b[K", "warning: careful\n"]);
  });

  it("is plain lines elsewhere, one an epoch and few between", () => {
    const { texts, progress } = shown(false);
    const epoch = { type: "epoch", stage: 1, fold: 1, epoch: 2, epochs: 3, lr: 1e-4, seconds: 4, improved: true } as const;
    const features = { kept: 0, computed: 0 };
    progress.show({ ...epoch, features, train: { total_loss: 2 }, validation: { total_loss: 3 } });
    for (let i = 0; i < 100; i++) progress.show(step);
    expect(texts).toEqual(["stage 1 epoch 2/3: train 2.0000, val 3.0000 (best), lr 0.000100, 4.0 s\n"]);
  });
});

describe("signals", () => {
  it("abort with ERR_STOPPED and are let go afterwards", async () => {
    // On Windows a process cannot send itself one: there the console does, and Node.js passes it on.
    const windows = process.platform === "win32";
    const name = windows ? "SIGBREAK" : "SIGUSR1";
    const before = process.listenerCount(name);
    await stoppable(async (signal) => {
      if (windows) process.emit(name, name);
      else process.kill(process.pid, name);
      while (!signal.aborted) await new Promise(setImmediate);
      expect(signal.reason).toMatchObject({ code: "ERR_STOPPED", detail: { signal: name } });
    });
    expect(process.listenerCount(name)).toBe(before);
  });
});

describe("tables", () => {
  it("show numbers and leave groups out", () => {
    expect(
      summaryTable({ meanPromptIou: 0.5, images: 3, ap50: null, ap: { "0.50": 1 }, counts: { truth: 4 } } as {
        counts: object;
      }),
    ).toBe(
      [
        "  mean prompt iou     0.5000",
        "  images                   3",
        "  ap50                     -",
        "  truth                    4",
      ].join("\n"),
    );
  });
});
