import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readChecked, readJson, strictJson, writeJson } from "../../lib/files/json.js";
import { Log, timestamp } from "../../lib/monitor/log.js";
import { MetricsTracker } from "../../lib/monitor/metricsTracker.js";
import { directionOf } from "../../lib/stats/direction.js";
import { Checkpoints } from "../../lib/train/checkpoints.js";

const folder = () => mkdtemp(join(tmpdir(), "cellsam-monitor-"));

describe("MetricsTracker", () => {
  it("D51: knows the better direction of each metric", () => {
    const tracker = new MetricsTracker({ directions: { drift: "min" } });
    for (const [i, f1] of [0.2, 0.9, 0.5].entries())
      tracker.update({ f1, total_loss: 3 - f1, drift: f1 }, { epoch: i + 1, phase: "val" });
    expect(tracker.getBest("f1", "val")).toEqual({ value: 0.9, epoch: 2 });
    expect(tracker.getBest("total_loss", "val")).toEqual({ value: 2.1, epoch: 2 });
    expect(tracker.getBest("drift", "val")).toEqual({ value: 0.2, epoch: 1 });
    expect(directionOf("loss_bbox")).toBe("min");
  });

  it("D88: summarises with a sample standard deviation", () => {
    const tracker = new MetricsTracker({ windowSize: 2 });
    for (const loss of [1, 2, 4]) tracker.update({ loss });
    const { summary, history, std_ddof } = tracker.toJSON();
    expect(std_ddof).toBe(1);
    expect(history.train?.loss).toEqual([1, 2, 4]);
    // variance of 1, 2, 4 with ddof 1: ((4/3)^2 + (1/3)^2 + (5/3)^2) / 2 = 7/3
    expect(summary.train?.loss).toMatchObject({ latest: 4, best: 1, best_epoch: 1, count: 3, moving_avg: 3 });
    expect(summary.train?.loss?.mean).toBeCloseTo(7 / 3, 12);
    expect(summary.train?.loss?.std).toBeCloseTo(Math.sqrt(7 / 3), 12);
    expect(new MetricsTracker().getBest("none")).toEqual({ value: null, epoch: null });
  });

  it("keeps values that are not finite as null and never as best", () => {
    const tracker = new MetricsTracker();
    tracker.logEpochMetrics("train", 1, { loss: Number.NaN });
    tracker.logEpochMetrics("train", 2, { loss: 2 });
    tracker.logEpochMetrics("train", 3, { loss: Number.POSITIVE_INFINITY });
    expect(tracker.getAllMetrics()).toEqual({ train: { loss: [null, 2, null] } });
    expect(tracker.getBest("loss")).toEqual({ value: 2, epoch: 2 });
    expect(tracker.hasImproved("loss")).toBe(false);
    expect(tracker.hasImproved("loss", { patience: 2 })).toBe(true);
  });

  it("D52: reads back what it wrote", async () => {
    const saveDir = await folder();
    const tracker = new MetricsTracker({ saveDir, directions: { odd: "min" } });
    tracker.update({ loss: 0.5, f1: 0.8, odd: 3 }, { epoch: 1 });
    tracker.update({ loss: 0.4, f1: 0.7, odd: 2 }, { epoch: 4, phase: "val" });
    await tracker.saveMetrics("m.json");
    const other = new MetricsTracker({ saveDir });
    await other.loadMetrics("m.json");
    expect(other.toJSON()).toEqual(tracker.toJSON());
    await expect(new MetricsTracker().saveMetrics()).rejects.toThrow(/saveDir/);
  });
});

describe("JSON", () => {
  it("D87: has null where JSON has no number", async () => {
    expect(strictJson({ a: Number.NaN, b: [Number.NEGATIVE_INFINITY, 1] }, 0)).toBe('{"a":null,"b":[null,1]}');
    const path = join(await folder(), "deep", "x.json");
    await writeJson(path, { loss: Number.POSITIVE_INFINITY });
    expect(await readJson(path)).toEqual({ loss: null });
  });
});

describe("Log", () => {
  it("D45: writes `time - logger - LEVEL - message` and drops what is below its level", async () => {
    const path = join(await folder(), "logs", "experiment.log");
    const log = new Log(path);
    log.debug("a", "hidden");
    log.info("cellsam.runner", "one\ntwo");
    log.error("cellsam.stage1", "bad");
    const lines = (await readFile(path, "utf8")).split("\n");
    expect(lines[0]).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - cellsam\.runner - INFO - one$/);
    expect(lines[1]).toBe("  two");
    expect(lines[2]).toMatch(/ - cellsam\.stage1 - ERROR - bad$/);
    expect(lines).toHaveLength(4);
    expect(timestamp(new Date(2026, 0, 2, 3, 4, 5, 6))).toBe("2026-01-02 03:04:05,006");
  });
});

describe("Checkpoints", () => {
  it("publishes the newest best and keeps the versions that the run state may still name", async () => {
    const root = await folder();
    const manager = new Checkpoints({ checkpointDir: join(root, "models"), resumeDir: root });
    const save = (text: string) => async (path: string) => {
      await writeFile(path, text);
      return { bytes: text.length, sha256: `hash of ${text}` };
    };
    const first = await manager.saveBest(save("one"), { stage: 1, epoch: 1, loss: 2 });
    const second = await manager.saveBest(save("second"), { stage: 1, epoch: 3, loss: 1 });
    const published = () => readFile(manager.getBestModelPath(1), "utf8");
    expect(await published()).toBe("second");
    expect(await readChecked(join(root, "models", "manifest.json"))).toEqual({
      files: {
        "best_model_s1.pth": {
          kind: "best",
          stage: 1,
          epoch: 3,
          metric: 1,
          metric_name: "loss",
          sha256: "hash of second",
          bytes: 6,
        },
      },
    });
    await manager.publish(first);
    expect(await published()).toBe("one");
    await manager.publish(second);
    await manager.prune([second.file]);
    await expect(manager.publish(first)).rejects.toMatchObject({ code: "ENOENT" });
    expect(await published()).toBe("second");
    await manager.retract(1);
    await expect(published()).rejects.toMatchObject({ code: "ENOENT" });
    expect(await readChecked(join(root, "models", "manifest.json"))).toEqual({ files: {} });
  });
});
