import { spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { described } from "../../lib/cli/plan.js";
import { thresholdTable } from "../../lib/cli/table.js";
import { trainConfig } from "../../lib/cli/train.js";
import { generateSynthetic } from "../../lib/data/synthetic.js";
import type { Plan } from "../../lib/plan/plan.js";

const side = (images: number) => ({ images, tiles: 12345, cells: 123456 });
const plan: Plan = {
  images: {
    count: 2000,
    grey: 1200,
    rgb: 800,
    types: { uint8: 1000, uint16: 1000 },
    sides: { min: 256, median: 512, max: 2048 },
    notes: [],
  },
  cells: {
    count: 123456,
    perImage: { min: 0, median: 9, max: 2222 },
    diameter: { min: 3, median: 24.75, max: 99 },
    large: 0,
    cut: 103,
  },
  tiles: { size: 512, count: 24690, perTile: { min: 0, median: 3, max: 1234 }, empty: 1234 },
  splits: [1, 2].map(() => ({ train: side(1500), val: side(400), test: side(100) })),
  duplicates: { pairs: [], acrossSides: 0 },
  disk: { storeBytes: 123.4e9, freeBytes: 1234.5e9, modelBytes: 12.3e9, featureBytes: 123.4e9 },
  queries: 3500,
  probe: {
    device: "cuda:0",
    precision: "bf16",
    suitedPrecision: "bf16",
    busy: 0,
    parameters: 1,
    queries: 3500,
    stages: {},
    processMb: 123456.7,
    gpuMb: 123456.7,
  },
  time: { secondsPerEpoch: { 1: 12345.6, 2: 12345.6 }, totalSeconds: 1234567 },
  together: null,
  warnings: [],
};

test("a plan is told in lines of 80 columns, without words of the code", () => {
  const text = described(plan);
  for (const line of text.split("\n")) expect(line.length).toBeLessThan(80);
  expect(text).not.toMatch(/whole in no tile|parameters|RGB|features/);
  expect(text).toContain("cells    123456, 0 to 2222 in an image; typically 24.8 pixels across");
  expect(text).toContain("103 cells are seen only in parts, since every tile cuts them");
  expect(text).toContain("fold 1   trains on 1500 images (123456 cells, 12345 tiles)");
  expect(text).toContain("at most 342:56:07 (h:mm:ss)");
});

test("a plan of one split without a probe says how to get a forecast", () => {
  const none = { images: 0, tiles: 0, cells: 0 };
  const text = described({ ...plan, splits: [{ train: side(3), val: none, test: none }], probe: null, time: null });
  expect(text).toContain("split    trains on 3 images");
  expect(text).not.toContain("validates");
  expect(text).toContain("--probe takes a few steps");
});

test("a table of thresholds fits 80 columns", () => {
  const row = {
    threshold: 0.288,
    precision: 0.8,
    recall: 0.7,
    f1: 0.7,
    dice: 0.7,
    jaccard: 0.6,
    ap: 0.5,
    ap50: 0.7,
    ap75: 0.4,
  };
  for (const line of thresholdTable({ f1: row, ap50: row }).split("\n")) expect(line.length).toBeLessThan(80);
});

test("a call without data says what to give", async () => {
  await expect(trainConfig({})).rejects.toThrow(/give --images FOLDER and --masks FOLDER, or --config FILE/);
  await expect(trainConfig({ images: "i" })).rejects.toThrow(/give --masks FOLDER, or/);
});

test("a plan ends with the training that it planned, quoted for a shell", async () => {
  const folder = await mkdtemp(join(tmpdir(), "cellsam-words-"));
  const { imgPath, maskPath } = await generateSynthetic({ directory: folder, images: 3, size: 96, seed: 1 });
  const program = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
  const args = ["--images", imgPath, "--masks", maskPath, "--weights", "cellsam-tiny", "--name", "my run"];
  const words = `--images ${imgPath} --masks ${maskPath} --weights cellsam-tiny --name "my run"`;
  for (const [more, train] of [
    [[], "npx cellsam train"],
    [["--probe", "--ranks", "2", "--bandwidth=20"], "node_modules/.bin/cellsam launch -n 2 train"],
  ] as const) {
    const command = [program, "plan", ...args, ...more];
    const { stdout, status } = spawnSync(process.execPath, command, { cwd: folder, encoding: "utf8" });
    expect(status).toBe(0);
    expect(stdout).toContain(`next: ${train} ${words}\n`);
  }
  await rm(folder, { recursive: true });
});
