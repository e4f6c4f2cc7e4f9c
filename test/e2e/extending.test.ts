/**
 * The examples of docs/extending.md, in a copy of the sources where they were added exactly as they stand there (test/extending/): a loss, an
 * augmentation, a strategy, an image format and a command.
 */
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { generateSynthetic } from "../../lib/data/synthetic.js";
import { readJson } from "../../lib/files/json.js";
import { programEnvironment, root } from "../programs.js";

const tree = join(root, "build", "extended");

interface Added {
  files: { path: string }[];
  lines: { path: string; line: string }[];
}

let added: Added;
let folder: string;
let data: { imgPath: string; maskPath: string; stems: string[] };

beforeAll(async () => {
  added = JSON.parse(execFileSync(process.execPath, ["test/extending/tree.mjs"], { cwd: root, encoding: "utf8" }));
  folder = await mkdtemp(join(tmpdir(), "cellsam-extending-"));
  data = await generateSynthetic({ directory: join(folder, "data"), images: 4, size: 64, seed: 3 });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** What a script prints as JSON in the checkout or in the extended copy; `./dist/` is that one's. */
function told<T>(script: string, where = tree): T {
  const call = ["--input-type=module", "-e", script];
  return JSON.parse(execFileSync(process.execPath, call, { cwd: where, encoding: "utf8", env: programEnvironment })) as T;
}

function cellsam(...args: string[]): string {
  return execFileSync(process.execPath, [join(tree, "dist/cli/main.js"), ...args], {
    encoding: "utf8",
    env: programEnvironment,
  });
}

it("takes few steps: new files, and lines in tables", () => {
  const files = (part: string) => added.files.filter(({ path }) => path.includes(part)).length;
  const lines = (table: string) =>
    added.lines.filter(({ path, line }) => path === table && !line.startsWith("import")).map(({ line }) => line.trim());
  expect(files("tversky")).toBe(2);
  expect(lines("native/loss/mask_losses.inc")).toEqual(["LOSS(tversky)"]);
  expect(lines("lib/settings/losses/table.ts")).toEqual(["tversky,"]);
  expect([files("noise"), lines("native/augment/augmentations.inc")]).toEqual([1, ["AUGMENTATION(noise, Level::Complex)"]]);
  expect([files("newestValidate"), lines("lib/strategies/table.ts").length]).toEqual([1, 1]);
  expect([files("pgm"), lines("lib/data/reader.ts").length]).toEqual([1, 1]);
  expect([files("pairs"), lines("lib/cli/main.ts").length]).toEqual([1, 1]);
  expect(added.files).toHaveLength(6);
});

describe("a loss", () => {
  const names = ["focal", "dice", "boundary"];
  const alone = { tverskyWeight: 2, tverskyAlpha: 0.2, tverskyBeta: 0.9, focalWeight: 0, diceWeight: 0, boundaryWeight: 0 };
  const logits = [0.3, -1.2, 2.1, 0.4, -0.6, 1.7];
  const target = [1, 0, 1, 1, 0, 0];

  /** The formula of the paper, for one mask. */
  function tversky(values: number[]): number {
    const p = values.map((value) => 1 / (1 + Math.exp(-value)));
    const sum = (weight: (p: number, g: number) => number) => p.reduce((all, q, i) => all + weight(q, target[i] as number), 0);
    const hit = sum((q, g) => q * g) + 1;
    return 1 - hit / (hit + 0.2 * sum((q, g) => q * (1 - g)) + 0.9 * sum((q, g) => (1 - q) * g));
  }

  it("gives its weighted value and the gradient of finite differences", () => {
    const f64 = (values: number[]) => `{ data: Float64Array.from(${JSON.stringify(values)}), shape: [1, 2, 3] }`;
    const found = told<Record<string, number[]>>(`
      import { maskLoss } from "./dist/entry.js";
      const loss = maskLoss(${f64(logits)}, ${f64(target)}, ${JSON.stringify(alone)});
      console.log(JSON.stringify(Object.fromEntries(Object.entries(loss).map(([name, { data }]) => [name, [...data]]))));`);
    expect(found.tversky?.[0]).toBeCloseTo(2 * tversky(logits), 12);
    expect(found.total).toEqual(found.tversky);
    for (const name of names) expect(found[name]).toEqual([0]);
    logits.forEach((value, i) => {
      const moved = (by: number) => tversky(logits.with(i, value + by));
      expect(found.gradient?.[i]).toBeCloseTo((2 * (moved(1e-5) - moved(-1e-5))) / 2e-5, 8);
    });
  });

  it("trains stage 2 where it is the only one with a weight, though the fused losses are on, and stands in the metrics", async () => {
    const stage = {
      ...{ totalEpochs: 12, learningRate: 3e-3, trainNeckOnly: false, freezeMaskDecoder: false },
      ...{ tverskyLossWeight: 2, fusedMaskLoss: true },
      ...{ focalLossWeight: 0, diceLossWeight: 0, boundaryLossWeight: 0 },
    };
    const config = {
      ...{ imgPath: data.imgPath, maskPath: data.maskPath, outputDir: folder, outputName: "run", strategy: "newest_validate" },
      ...{ size: "tiny", device: "cpu", threads: 1, tileSize: 64, stages: [2], tensorboard: false, stage2Config: stage },
    };
    await writeFile(join(folder, "run.json"), JSON.stringify(config));
    cellsam("train", "-c", join(folder, "run.json"), "--json");
    const { history } = await readJson<{ history: Record<"train" | "val", Record<string, number[]>> }>(
      join(folder, "run/metrics/stage2_metrics.json"),
    );
    expect(Object.keys(history.train)).toEqual(
      expect.arrayContaining(["total_loss", ...names.map((name) => `${name}_loss`), "tversky_loss", "iou_loss"]),
    );
    for (const side of [history.train, history.val]) {
      expect(side.tversky_loss).toHaveLength(12);
      side.total_loss?.forEach((total, epoch) => {
        expect(total).toBeCloseTo(side.tversky_loss?.[epoch] as number, 5);
      });
      expect(side.focal_loss).toEqual(Array(12).fill(0));
    }
    const [first, last] = [history.train.tversky_loss?.[0] as number, history.train.tversky_loss?.at(-1) as number];
    expect(last).toBeGreaterThan(0);
    expect(last).toBeLessThan(0.9 * first);

    const [split] = [await readJson<{ train: string[]; val: string[] }>(join(folder, "run/splits.json"))].flat();
    expect(split).toMatchObject({ train: data.stems.slice(0, 3), val: data.stems.slice(3) });
  });

  it("has settings with checks, in schema, template and search, and asha knows them", () => {
    const schema = JSON.parse(cellsam("schema", "experiment"));
    expect(schema.properties.stage2_config.properties).toMatchObject({
      tversky_loss_weight: { default: 0, minimum: 0, description: "Weight of the tversky loss." },
      tversky_beta: { default: 0.7, minimum: 0, description: expect.stringContaining("missed") },
    });
    expect(schema.properties.strategy.enum).toContain("newest_validate");
    const space = JSON.parse(cellsam("schema", "space")).properties;
    expect(space.tversky_loss_weights.description).toBe("Weights of the tversky loss.");
    expect(space.tversky_betas.description).toContain("missed pixels");
    expect(space.ranges.properties).toHaveProperty("tversky_betas");

    const script = `
      import { Stage2Config, HyperparameterSpace } from "./dist/entry.js";
      import { parametersOf } from "./dist/config/space.js";
      import { AshaPruner } from "./dist/search/asha.js";
      const refusal = (make) => { try { make(); return null; } catch (error) { return error.message; } };
      const searched = parametersOf(new HyperparameterSpace({ tversky_loss_weights: [1, 2], tversky_betas: [0.7] }));
      console.log(JSON.stringify({
        weights: new Stage2Config({ tversky_loss_weight: 3 }).getLossWeights(),
        range: refusal(() => new Stage2Config({ tverskyAlpha: -1 })),
        names: searched.map(({ name }) => name),
        notes: new AshaPruner({ eta: 3, minEpochs: 1 }, searched.map(({ path }) => path)).notes,
      }));`;
    expect(told(script)).toEqual({
      weights: { focal: 1, dice: 1, boundary: 1, tversky: 3 },
      range: expect.stringContaining("tverskyAlpha: must be a finite number >= 0"),
      names: ["tversky_weight", "tversky_beta"],
      notes: [expect.stringContaining("stage2Config.tverskyLossWeight, stage2Config.tverskyBeta")],
    });
  });
});

it("an augmentation takes part in the complex ones, and changes no other", async () => {
  const store = join(folder, "tiles.store");
  const losses = (where: string, complex: boolean) =>
    told<number[]>(
      `
      import { openSession } from "./dist/entry.js";
      import { openStoreWriter } from "./dist/engine/storeWriter.js";
      import { existsSync } from "node:fs";
      const store = ${JSON.stringify(store)};
      if (!existsSync(store)) {
        const writer = await openStoreWriter({ path: store, tileSize: 64, normalize: false });
        for (let i = 0; i < 4; i++) {
          const image = { data: Uint8Array.from({ length: 64 * 64 * 3 }, (_, at) => 40 + ((at * (7 + i)) % 150)), shape: [64, 64, 3] };
          const labels = { data: Int32Array.from({ length: 64 * 64 }, (_, at) => (at % 64 < 20 ? 1 : at > 3000 ? 2 : 0)), shape: [64, 64] };
          await writer.add({ image, labels, source: String(i) });
        }
        await writer.finish();
        await writer.dispose();
      }
      const session = await openSession({ size: "tiny", threads: 1, overrides: { imageSize: 64 } });
      await session.beginStage({ stage: 2, epochs: 1, stepsPerEpoch: 4, learningRate: 1e-12 });
      const losses = [];
      const onStep = (event) => losses.push(event.losses.total_loss);
      const indices = Int32Array.of(0, 1, 2, 3);
      await session.trainEpoch({ store, indices, epoch: 1, batchSize: 1, augment: true, complexAugmentation: ${complex}, onStep });
      await session.dispose();
      console.log(JSON.stringify(losses));`,
      where,
    );
  expect(losses(tree, false)).toEqual(losses(root, false));
  const [noisy, plain] = [losses(tree, true), losses(root, true)];
  expect(noisy).toHaveLength(4);
  // A tile of two gets noise.
  expect(noisy.filter((loss, i) => loss !== plain[i]).length).toBeGreaterThan(0);
  expect(noisy.filter((loss, i) => loss === plain[i]).length).toBeGreaterThan(0);
});

it("an image format and a command are known everywhere", async () => {
  const images = join(folder, "pgm");
  await mkdir(images);
  await writeFile(join(images, "a.pgm"), Buffer.concat([Buffer.from("P5\n3 2\n255\n"), Buffer.from([1, 2, 3, 4, 5, 6])]));
  await writeFile(join(images, "a_mask.png"), await readFile(join(data.maskPath, `${data.stems[0]}.png`)));
  const { data: pixels, shape } = told<{ data: number[]; shape: number[] }>(`
    import { readImage } from "./dist/data/reader.js";
    const { data, shape } = await readImage(${JSON.stringify(join(images, "a.pgm"))});
    console.log(JSON.stringify({ data: [...data], shape }));`);
  expect([pixels, shape]).toEqual([
    [1, 2, 3, 4, 5, 6],
    [2, 3],
  ]);
  expect(cellsam("pairs", images, images)).toBe(`${join(images, "a.pgm")}\t${join(images, "a_mask.png")}\n`);
});
