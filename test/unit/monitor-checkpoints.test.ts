// The checkpoint manager as users see it: names, retention, what is best, and files that are not what was written.
import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readJson, writeChecked } from "../../lib/files/json.js";
import { CheckpointManager, type CheckpointManagerOptions } from "../../lib/python/checkpointManager.js";

let root = "";
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "cellsam-checkpoints-"));
});
afterAll(() => rm(root, { recursive: true }));

let folders = 0;
const manager = (options: Partial<CheckpointManagerOptions> = {}) =>
  new CheckpointManager({ checkpointDir: join(root, String(folders++)), ...options });

/** A model whose weights are a text. */
const model = (weights: string) => ({
  loaded: "",
  async save(path: string) {
    await writeFile(path, weights);
    return { bytes: weights.length, sha256: createHash("sha256").update(weights).digest("hex") };
  },
  async load(path: string) {
    this.loaded = await readFile(path, "utf8");
  },
});
const weightsIn = async ({ checkpointDir }: CheckpointManager) =>
  (await readdir(checkpointDir)).filter((file) => file.endsWith(".pth")).sort();

describe("retention", () => {
  it("D85: keeps the newest keepLastN of each stage, and the best whatever its epoch", async () => {
    const kept = manager({ keepLastN: 2 });
    for (const stage of [1, 2] as const) {
      for (const epoch of [5, 10, 15, 20])
        await kept.saveCheckpoint(model(`${stage}.${epoch}`), { stage, epoch, metric: epoch, isBest: epoch === 5 });
    }
    expect(await weightsIn(kept)).toEqual([
      "best_model_s1.pth",
      "best_model_s2.pth",
      "s1_epoch_15.pth",
      "s1_epoch_20.pth",
      "s2_epoch_15.pth",
      "s2_epoch_20.pth",
    ]);
    expect(await readFile(kept.getBestModelPath(2), "utf8")).toBe("2.5");
  });

  it("D85: keepBestOnly leaves the best alone, also where more was kept before", async () => {
    const all = manager({ keepLastN: 0 });
    for (const epoch of [1, 2, 3, 4, 5])
      expect(await all.saveCheckpoint(model("x"), { epoch })).toMatch(/checkpoint_epoch_\d\.pth$/);
    expect(await weightsIn(all)).toHaveLength(5);
    const best = new CheckpointManager({ checkpointDir: all.checkpointDir, keepBestOnly: true });
    expect(await best.saveCheckpoint(model("y"), { epoch: 6, isBest: true })).toBeNull();
    expect(await weightsIn(best)).toEqual(["best_model.pth"]);
    expect((await best.listCheckpoints()).map(({ kind }) => kind)).toEqual(["best"]);
  });

  it("never removes final weights, and counts epochs as numbers", async () => {
    const kept = manager({ keepLastN: 1 });
    await kept.saveFinalModel(model("end"), { stage: 1, epoch: 1 });
    for (const epoch of [9, 10, 100]) await kept.saveCheckpoint(model("x"), { stage: 1, epoch });
    expect(await weightsIn(kept)).toEqual(["final_model_s1.pth", "s1_epoch_100.pth"]);
    expect(() => manager({ keepLastN: -1 })).toThrow(/keepLastN/);
  });
});

describe("finding and loading", () => {
  it("D39: stages do not overwrite each other, and each reports its own", async () => {
    const two = manager({ fold: 3, experimentName: "nuclei" });
    await two.saveBestModel(model("first"), { stage: 1, epoch: 2, metric: 0.5, additionalInfo: { note: "a" } });
    await two.saveBestModel(model("second"), { stage: 2, epoch: 7, metric: 0.25, metricName: "val" });
    const target = model("");
    expect(await two.loadCheckpoint(target, { stage: 1 })).toMatchObject({ stage: 1, epoch: 2, metric: 0.5, fold: 3 });
    expect(target.loaded).toBe("first");
    expect(await two.getBestCheckpointInfo(2)).toMatchObject({
      kind: "best",
      epoch: 7,
      metric: 0.25,
      metricName: "val",
      experimentName: "nuclei",
      path: two.getBestModelPath(2),
    });
    expect((await two.getBestCheckpointInfo(1))?.additionalInfo).toEqual({ note: "a" });
    expect([await two.hasCheckpoint(1), await two.hasCheckpoint(1, "final"), await two.hasCheckpoint()]).toEqual([
      true,
      false,
      false,
    ]);
    expect(await two.getCheckpointSummary()).toMatchObject({ count: 2, bytes: 11, fold: 3 });
    const info = await two.saveTrainingInfo({ epochs: 9, loss: Number.NaN });
    expect(await readJson(info)).toEqual({ experiment_name: "nuclei", fold: 3, epochs: 9, loss: null });
  });

  it("D82: returns null where there is none, and throws where a named one is missing", async () => {
    const none = manager();
    expect(await none.loadCheckpoint(model(""))).toBeNull();
    expect(await none.getBestCheckpointInfo()).toBeNull();
    expect(await none.listCheckpoints()).toEqual([]);
    await expect(none.loadCheckpoint(model(""), { path: join(root, "no.pth") })).rejects.toMatchObject({
      code: "ERR_CHECKPOINT_NOT_FOUND",
    });
  });

  it("D40: a file that is not what was saved is never loaded, and the model's own refusal passes through", async () => {
    const spoiled = manager();
    await spoiled.saveBestModel(model("good"), { epoch: 1 });
    const refuses = { load: () => Promise.reject(new Error("wrong shape")) };
    await expect(spoiled.loadCheckpoint(refuses)).rejects.toThrow("wrong shape");
    await writeFile(spoiled.getBestModelPath(), "evil");
    const target = model("");
    await expect(spoiled.loadCheckpoint(target)).rejects.toMatchObject({ code: "ERR_CHECKPOINT_CORRUPT" });
    expect(target.loaded).toBe("");
  });

  it("is loadable at every moment of a replacement that a kill interrupts", async () => {
    const killed = manager();
    await killed.saveBestModel(model("old"), { epoch: 1 });
    const manifest = join(killed.checkpointDir, "manifest.json");
    const before = await readJson<{ files: Record<string, object> }>(manifest);
    const next = createHash("sha256").update("new").digest("hex");
    // As it lies there between the announcement and the last write: first with the old weights, then with the new.
    await writeChecked(manifest, { files: { "best_model.pth": { ...before.files["best_model.pth"], next } } });
    const target = model("");
    await killed.loadCheckpoint(target);
    expect(target.loaded).toBe("old");
    await writeFile(killed.getBestModelPath(), "new");
    await killed.loadCheckpoint(target);
    expect(target.loaded).toBe("new");
  });

  it("D38: knows only what its own folder's manifest names", async () => {
    const own = manager();
    await own.saveBestModel(model("x"), { stage: 1, epoch: 1 });
    await writeFile(join(own.checkpointDir, "best_model_s2.pth"), "left by an earlier run");
    expect(await own.hasCheckpoint(2)).toBe(false);
    expect(await own.getBestCheckpointInfo(2)).toBeNull();
  });
});
