import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CommanderError } from "commander";
import { describe, expect, it, vi } from "vitest";
import { evaluateCommand } from "../../lib/cli/evaluate.js";
import { exitCodeOf, reportError } from "../../lib/cli/exit.js";
import { modelConfig } from "../../lib/cli/modelFlags.js";
import { clock, Progress } from "../../lib/cli/progress.js";
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

describe("the message of an error", () => {
  it("says what to do about a limit of open files", () => {
    const write = vi.spyOn(process.stderr, "write").mockReturnValue(true);
    const cause = Object.assign(new Error("EMFILE: too many open files, open 'a.png'"), { code: "EMFILE" });
    reportError(new CellsamError("ERR_FILE", "a.png cannot be read", { cause }), {});
    reportError(cause, {});
    const lines = write.mock.calls.join("").split("\n");
    write.mockRestore();
    expect(lines.filter((line) => line.startsWith("ERR_FILE: "))).toHaveLength(2);
    expect(lines.filter((line) => line.includes("ulimit -n"))).toHaveLength(2);
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
  function shown(isTTY: boolean, columns = 80) {
    const texts: string[] = [];
    const stream = { isTTY, columns, write: (text: string) => texts.push(text) };
    const clock = { now: 0 };
    const progress = new Progress({ epochs: { 1: 3, 2: 1 }, stream, now: () => clock.now });
    return { texts, progress, clock };
  }
  const epoch = { type: "epoch", stage: 1, fold: 1, epoch: 2, epochs: 3, lr: 1e-4, seconds: 4, improved: true } as const;
  const features = { kept: 0, computed: 0 };

  it("is a bar on a terminal with the time until the whole run ends, taken away for whole lines", () => {
    const { texts, progress } = shown(true);
    progress.show(step);
    progress.show({ type: "notice", level: "warning", message: "careful" });
    // An epoch takes 20 s: half of the second and the third of stage 1, and one of stage 2.
    expect(texts[0]).toBe("\r\x1b[Kstage 1 epoch 2/3 [########........] loss 1.250, 0:00:50 left");
    expect(texts.slice(1)).toEqual(["\r\x1b[K", "warning: careful\n"]);
    expect(clock(3725.4)).toBe("1:02:05");
  });

  it("fits a terminal of 80 columns, and narrower ones, with whole numbers", () => {
    for (const columns of [80, 64]) {
      const { texts, progress } = shown(true, columns);
      progress.show({ type: "fold", fold: 10, folds: 12, state: "begin" });
      progress.show({ ...step, epoch: 999, steps: 5000, step: 4000, losses: { total_loss: 0.0886849 } });
      const bar = texts.at(-1)?.replace("\r\x1b[K", "") ?? "";
      expect(bar.length).toBeLessThan(columns);
      expect(bar).toMatch(
        columns === 80 ? /^fold 10\/12, stage 1 epoch 999\/3 \[#+\.+\] loss 0\.08868, [\d:]+ left$/ : /^fold 10/,
      );
    }
    const { texts, progress } = shown(false);
    const scores = { f1: 0.123456 };
    const long = { ...epoch, features, epoch: 500, epochs: 500, seconds: 4000, train: { total_loss: 0.0123456 }, scores };
    progress.show({ ...long, validation: { total_loss: 0.0123456 } });
    progress.show({ type: "stage", stage: 2, fold: 1, state: "begin", trainable: 91_000_000 });
    progress.show({ type: "stage", stage: 2, fold: 1, state: "end", stoppedEarly: true });
    for (const text of texts) expect(text.trimEnd().length).toBeLessThan(80);
    expect(texts[1]).toBe("stage 1 epoch 500: F1 0.1235 on whole images\n");
  });

  it("is plain lines elsewhere: one an epoch, and one in half a minute between", () => {
    const { texts, progress, clock } = shown(false);
    progress.show({ ...epoch, features, train: { total_loss: 2 }, validation: { total_loss: 3 }, scores: null });
    for (let second = 0; second < 65; second++) {
      clock.now = second * 1000;
      progress.show({ ...step, epoch: 3 });
    }
    progress.show({ type: "progress", task: "evaluate", done: 1, total: 4 });
    expect(texts).toEqual([
      "stage 1 epoch 2/3: loss 2.000, validation 3.000 (best), 0:00:08 left\n",
      "stage 1 epoch 3/3 50 %, loss 1.250, 0:00:06 left\n",
      "stage 1 epoch 3/3 50 %, loss 1.250, 0:00:06 left\n",
    ]);
  });
});

describe("signals", () => {
  it("abort with ERR_STOPPED, and are let go after work that none of them stopped", async () => {
    // On Windows a process cannot send itself one: there the console does, and Node.js passes it on.
    const windows = process.platform === "win32";
    const name = windows ? "SIGBREAK" : "SIGUSR1";
    const before = process.listeners(name);
    expect(await stoppable(async () => process.listenerCount(name))).toBe(before.length + 1);
    expect(process.listeners(name)).toEqual(before);
    await stoppable(async (signal) => {
      if (windows) process.emit(name, name);
      else process.kill(process.pid, name);
      while (!signal.aborted) await new Promise(setImmediate);
      expect(signal.reason).toMatchObject({ code: "ERR_STOPPED", detail: { signal: name } });
    });
    // Until the process ends, a second signal is expected. Here it lives on.
    for (const listener of process.listeners(name)) if (!before.includes(listener)) process.off(name, listener);
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
        "  outlines alone: IoU with true boxes     0.5000",
        "  average precision (AP) at IoU 0.5            -",
        "  images                                       3",
        "  true cells                                   4",
      ].join("\n"),
    );
  });
});
