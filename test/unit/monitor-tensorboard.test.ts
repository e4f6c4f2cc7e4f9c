// Event files as TensorBoard itself reads them, events.jsonl after a kill, and what a run's monitor writes where.
import { execFileSync } from "node:child_process";
import { appendFile, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, test } from "vitest";
import { ExperimentConfig } from "../../lib/config/experiment.js";
import type { EpochEvent, TrainingEvent } from "../../lib/events.js";
import { crc32c, maskedCrc32c } from "../../lib/monitor/crc32c.js";
import { EventLog } from "../../lib/monitor/eventLog.js";
import { EventWriter } from "../../lib/monitor/tensorboard.js";
import { OutputTree } from "../../lib/train/outputTree.js";
import { RunRecord } from "../../lib/train/runRecord.js";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cellsam-board-"));
});
afterAll(() => rm(folder, { recursive: true }));

const python = process.env.CELLSAM_PYTHON;
if (!python) console.warn("SKIPPED: CELLSAM_PYTHON is not set, so TensorBoard does not look at the event files");

function read(path: string): Record<string, [step: number, value: number][]> {
  const script = join(import.meta.dirname, "tensorboard_events.py");
  const text = execFileSync(python as string, [script, path], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  return JSON.parse(text);
}

const step = (number: number, epoch = 1): TrainingEvent => ({
  type: "step",
  stage: 1,
  epoch,
  step: number,
  steps: 7,
  images: number,
  imagesPerSecond: 1,
  lr: 0.5,
  gradNorm: null,
  losses: { total_loss: 10 * epoch + number },
});
const epoch = (number: number, stage: 1 | 2 = 1): EpochEvent => ({
  type: "epoch",
  stage,
  fold: 2,
  epoch: number,
  epochs: 9,
  lr: 0.25,
  seconds: 3,
  train: { total_loss: number / 2 },
  validation: { total_loss: number / 4, loss_ce: null },
  scores: null,
  improved: true,
  features: { kept: 0, computed: 0 },
});

test("CRC-32C gives the check values of RFC 3720, and the mask turns by 15 bits", () => {
  expect(crc32c(Buffer.from("123456789"))).toBe(0xe3069283);
  expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
  expect(crc32c(new Uint8Array(32).fill(255))).toBe(0x62a8ab43);
  const crc = 0x8a9136aa;
  expect(maskedCrc32c(new Uint8Array(32))).toBe((((crc >>> 15) + crc * 2 ** 17 + 0xa282ead8) % 2 ** 32) >>> 0);
});

describe.skipIf(!python)("TensorBoard", () => {
  it("reads scalars with their steps, and none that are not numbers", () => {
    const writer = new EventWriter(join(folder, "a"));
    writer.scalars(1, { loss: 0.5, "val/f1": 0.25, bad: Number.NaN, none: null });
    writer.scalars(300, { loss: -1e-3, big: Number.POSITIVE_INFINITY });
    writer.scalars(2 ** 33, { loss: 2 });
    const found = read(join(folder, "a"));
    expect(Object.keys(found).sort()).toEqual(["loss", "val/f1"]);
    expect(found["val/f1"]).toEqual([[1, 0.25]]);
    expect(found.loss).toEqual([
      [1, 0.5],
      [300, expect.closeTo(-1e-3, 9)],
      [2 ** 33, 2],
    ]);
  });

  it("forgets what a resumed run does again", () => {
    const path = join(folder, "b");
    const first = new EventWriter(path);
    for (const at of [1, 2, 3, 4]) first.scalars(at, { loss: at }, 1e12);
    const again = new EventWriter(path, { restartAt: 3 });
    for (const at of [3, 4, 5]) again.scalars(at, { loss: 10 * at }, 2e12);
    expect(read(path).loss).toEqual([
      [1, 1],
      [2, 2],
      [3, 30],
      [4, 40],
      [5, 50],
    ]);
  });

  it("sees each fold and stage of a run, training and validation under the same tags", () => {
    const logs = join(folder, "run", "logs");
    const config = new ExperimentConfig({ imgPath: "i", maskPath: "m", outputName: "o", logFreq: 3 });
    const record = new RunRecord(config, new OutputTree(folder, "run"), () => undefined);
    record.open();
    record.emit({ type: "stage", stage: 1, fold: 2, state: "begin" });
    for (const number of [1, 2, 3, 4, 5, 6, 7]) record.emit(step(number));
    record.emit(epoch(1));
    for (const number of [1, 2, 3]) record.emit(step(number, 2));
    record.emit({ ...epoch(2), scores: { f1: 0.625, mean_prompt_iou: null } });
    record.emit({ type: "fold", fold: 2, folds: 5, state: "end", metrics: { f1: 0.75, pq: null } });
    const board = join(logs, "tensorboard", "fold_2");
    expect(read(join(board, "stage1_train")).total_loss).toEqual([
      [1, 0.5],
      [2, 1],
    ]);
    expect(read(join(board, "stage1_val"))).toEqual({
      total_loss: [
        [1, 0.25],
        [2, 0.5],
      ],
    });
    expect(read(join(board, "stage1_scores"))).toEqual({ f1: [[2, 0.625]] });
    const steps = read(join(board, "stage1_steps"));
    expect(steps.total_loss).toEqual([
      [3, 13],
      [6, 16],
      [7, 17],
      [10, 23],
    ]);
    expect(steps.learning_rate?.[0]).toEqual([3, 0.5]);
    expect(read(join(board, "results"))).toEqual({ f1: [[1, 0.75]] });
  });
});

const lines = async (path: string) =>
  (await readFile(path, "utf8"))
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));

describe("events.jsonl", () => {
  it("holds every event with its time, and of the steps one in so many and an epoch's last", async () => {
    const path = join(folder, "logs", "events.jsonl");
    const log = new EventLog(path, { every: 3 });
    for (let number = 1; number <= 7; number++) log.write(step(number));
    log.write({ type: "progress", task: "store", done: 1, total: 2 });
    log.write({ type: "progress", task: "store", done: 2, total: 2 });
    log.write(epoch(1));
    const found = await lines(path);
    expect(found.map(({ type, step: number }) => [type, number])).toEqual([
      ["step", 3],
      ["step", 6],
      ["step", 7],
      ["progress", undefined],
      ["epoch", undefined],
    ]);
    for (const { time } of found) expect(new Date(time).toISOString()).toBe(time);
  });

  it("goes on after a kill without half a line", async () => {
    const path = join(folder, "killed.jsonl");
    new EventLog(path).write(epoch(1));
    await appendFile(path, '{"time":"2026-');
    new EventLog(path).write(epoch(2));
    expect((await lines(path)).map((event) => event.epoch)).toEqual([1, 2]);
  });

  it("tells what happened before there was a folder", async () => {
    const logs = join(folder, "early", "logs");
    const config = new ExperimentConfig({ imgPath: "i", maskPath: "m", outputName: "o", tensorboard: false });
    const told: TrainingEvent[] = [];
    const record = new RunRecord(config, new OutputTree(folder, "early"), (event) => told.push(event));
    record.warn("early");
    record.emit({ type: "progress", task: "check", done: 1, total: 2 });
    record.open();
    record.emit(epoch(1));
    expect(told.map(({ type }) => type)).toEqual(["notice", "progress", "epoch"]);
    expect(await readFile(join(logs, "experiment.log"), "utf8")).toMatch(/^[^\n]* - cellsam\.runner - WARNING - early\n$/);
    expect((await lines(join(logs, "events.jsonl"))).map(({ type }) => type)).toEqual(["notice", "epoch"]);
    expect(await readdir(logs)).not.toContain("tensorboard");
  });
});
