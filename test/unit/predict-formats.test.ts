/** Predictions of cellsam-tiny in every format, stopped and continued, one by one, and from boxes. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "csv-parse/sync";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { decodeImage, decodeLabels, decodeStored } from "../../lib/data/decode.js";
import { encodeNpy } from "../../lib/data/formats/npy.js";
import { writeLabels } from "../../lib/data/write.js";
import { withPrompts } from "../../lib/engine/inference.js";
import { openSession } from "../../lib/engine/session.js";
import { readJson } from "../../lib/files/json.js";
import { type PredictFolderOptions, predictFolder } from "../../lib/predict/folder.js";
import { predictMany } from "../../lib/predict/many.js";
import { openPredictor, type Predictor } from "../../lib/predict/predictor.js";
import type { PredictedImage } from "../../lib/predict/scores.js";
import { longTest, testDevice } from "../device.js";
import { cropNuclei } from "../nuclei.js";

const model = { weights: "cellsam-tiny", device: testDevice, threads: 1 } as const;
const names = ["dsb_0b2e702f90ae", "dsb_61dc249314d7", "dsb_8e8a7a14749d"];
const formats = ["tiff", "png", "npy", "geojson", "roi", "coco", "csv"] as const;

let folder: string;
let images: string;
let predictor: Predictor;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cellsam-formats-"));
  const crops = await cropNuclei(
    folder,
    names.map((name) => `${name}.png`),
  );
  images = crops.imgPath;
  predictor = await openPredictor(model);
});
afterAll(async () => {
  await predictor?.dispose();
  await rm(folder, { recursive: true, force: true });
});

/** Every file of a folder with its content. */
async function contents(path: string): Promise<Record<string, string>> {
  const files = (await readdir(path, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  const entries = files.map(async ({ parentPath, name }) => {
    const file = join(parentPath, name);
    return [file.slice(path.length + 1), (await readFile(file)).toString("base64")] as const;
  });
  return Object.fromEntries((await Promise.all(entries)).sort());
}

/** An opener that counts the images which are predicted. */
function counting() {
  const counts = { sessions: 0, images: 0 };
  const open: typeof openSession = async (options) => {
    counts.sessions++;
    const session = await openSession(options);
    const predict = session.predict.bind(session);
    session.predict = ((asked: Parameters<typeof predict>[0]) => {
      counts.images++;
      return predict(asked);
    }) as typeof session.predict;
    return session;
  };
  return { counts, open };
}

describe("predictFolder", () => {
  longTest("writes every format, all with the same cells", async () => {
    const outputDir = join(folder, "all");
    const rows = await predictFolder(images, model, { outputDir, format: formats, overlay: true });
    expect(rows.map(({ image }) => image)).toEqual(names);
    expect(rows.every(({ cells }) => cells > 0)).toBe(true);
    expect(await readJson(join(outputDir, "scores.json"))).toEqual(rows);
    const table = parse(readFileSync(join(outputDir, "cells.csv"), "utf8"), { columns: true }) as Record<string, string>[];
    for (const { image, labels, cells, instances, files } of rows) {
      expect(labels).toBe(join(outputDir, `${image}.tif`));
      for (const file of files) expect([file, existsSync(file)]).toEqual([file, true]);
      const tiff = await decodeLabels(join(outputDir, `${image}.tif`));
      expect(tiff.count).toBe(cells);
      const others = await Promise.all([
        decodeLabels(join(outputDir, `${image}.png`)),
        decodeLabels(join(outputDir, `${image}.npy`)),
        decodeLabels(join(outputDir, `${image}.geojson`), { annotation: "geojson", size: tiff.shape }),
        decodeLabels(join(outputDir, `${image}_RoiSet.zip`), { annotation: "imagej_roi", size: tiff.shape }),
        decodeLabels(join(outputDir, "coco.json"), { annotation: "coco", item: `${image}.png` }),
      ]);
      for (const { data, shape } of others) expect([shape, data]).toEqual([tiff.shape, tiff.data]);
      const own = table.filter((row) => row.image === image);
      expect(own.map(({ id }) => Number(id))).toEqual(instances.map(({ id }) => id));
      for (const [i, row] of own.entries()) expect(Number(row.score)).toBeCloseTo(instances[i]?.score as number, 6);
      const pixels = await decodeStored(join(images, `${image}.png`));
      const channels = pixels.shape[2] ?? 1;
      const first = [...tiff.data.keys()].filter((at) => tiff.data[at] === 1);
      const mean = first.reduce((sum, at) => sum + (pixels.data[at * channels] as number), 0) / first.length;
      expect(Number(own[0]?.mean_intensity_0)).toBeCloseTo(mean, 4);
      const [height = 0, width = 0] = tiff.shape;
      const picture = await decodeImage(join(outputDir, "overlays", `${image}.png`));
      expect((picture.shape[0] * width) / picture.shape[1]).toBeCloseTo(height, 6);
    }
  });

  longTest("goes on after an abort to the files of an undisturbed run", async () => {
    const outputDir = join(folder, "aborted");
    const options = { outputDir, format: ["tiff", "geojson", "coco", "csv"] as const, overlay: true };
    const stop = new AbortController();
    const onImage = () => stop.abort(new Error("enough"));
    await expect(predictFolder(images, model, { ...options, onImage, signal: stop.signal })).rejects.toThrow("enough");
    expect((await readJson<PredictedImage[]>(join(outputDir, "scores.json"))).map(({ image }) => image)).toEqual([names[0]]);
    expect(existsSync(join(outputDir, "coco.json"))).toBe(false);
    expect((await readdir(outputDir)).filter((name) => /tmp|partial/.test(name))).toEqual([]);
    const { counts, open } = counting();
    const resumed = await predictFolder(images, model, { ...options, skipExisting: true, openSession: open });
    expect(counts.images).toBe(2);
    const whole = await predictFolder(images, model, { ...options, outputDir: join(folder, "whole") });
    expect(resumed.map(({ instances }) => instances)).toEqual(whole.map(({ instances }) => instances));
    const without = ({ "scores.json": _, ...files }: Record<string, string>) => files;
    expect(without(await contents(outputDir))).toEqual(without(await contents(join(folder, "whole"))));
  });

  longTest("goes on after its process was killed, and predicts no image twice", async () => {
    const outputDir = join(folder, "killed");
    const journal = join(outputDir, "scores.partial.jsonl");
    const known: number[] = [];
    const onImage = () => known.push(readFileSync(journal, "utf8").trim().split("\n").length);
    const rows = await predictFolder(images, model, { outputDir, onImage });
    expect([known, existsSync(journal)]).toEqual([[1, 2, 3], false]);
    // What a killed process leaves: rows of two images, the second without its file, and half a line.
    await rm(join(outputDir, "scores.json"));
    await rm(join(outputDir, `${names[1]}.tif`));
    await rm(join(outputDir, `${names[2]}.tif`));
    const lines = `${JSON.stringify(rows[0])}\n${JSON.stringify(rows[1])}\n{"image":"dsb`;
    writeFileSync(journal, lines);
    const { counts, open } = counting();
    // The rows that are added do not continue that line.
    const added: string[] = [];
    const onAdded = () => added.push(readFileSync(journal, "utf8").trim().split("\n").at(-1) ?? "");
    const again = { outputDir, skipExisting: true, openSession: open, onImage: onAdded };
    expect(await predictFolder(images, model, again)).toEqual(rows);
    expect(added.slice(1).map((line) => JSON.parse(line).image)).toEqual(names.slice(1));
    expect(counts.images).toBe(2);
    expect(await readJson(join(outputDir, "scores.json"))).toEqual(rows);
    expect(existsSync(journal)).toBe(false);
  });

  longTest("keeps the scores of an image of which a file could not be written", async () => {
    const outputDir = join(folder, "unwritable");
    await mkdir(outputDir);
    await writeFile(join(outputDir, "overlays"), "in the way of a folder");
    await expect(predictFolder(images, model, { outputDir, overlay: true })).rejects.toMatchObject({ code: "ERR_FILE" });
    await rm(join(outputDir, "overlays"));
    const { counts, open } = counting();
    const options = { outputDir, overlay: true, skipExisting: true, openSession: open };
    const rows = await predictFolder(images, model, options);
    expect([rows.map(({ image }) => image), counts.images]).toEqual([names, names.length - 1]);
    expect((await readdir(outputDir)).filter((name) => /tmp|partial/.test(name))).toEqual([]);
  });

  longTest("removes what a process left half written a day ago", async () => {
    const outputDir = join(folder, "tidied");
    const files = ["a", "overlays/b"].map((name) =>
      join(outputDir, name.replace(/\w$/, ".01234567-89ab-cdef-0123-456789abcdef.tmp")),
    );
    await mkdir(join(outputDir, "overlays"), { recursive: true });
    for (const file of files) await writeFile(file, "half");
    await utimes(files[0] as string, new Date(), new Date(Date.now() - 25 * 3600_000));
    await predictFolder(images, model, { outputDir });
    expect(files.map((file) => existsSync(file))).toEqual([false, true]);
  });

  longTest("makes other formats of label images that are there, also of corrected ones, without a model", async () => {
    const outputDir = join(folder, "corrected");
    const rows = await predictFolder(images, model, { outputDir });
    const path = join(outputDir, `${names[0]}.tif`);
    const { data, shape } = await decodeLabels(path);
    const corrected = { data: data.map((id) => (id === 1 ? 0 : id)), shape };
    await writeLabels(path, corrected);
    const before = await readFile(path);
    const { counts, open } = counting();
    const options = { outputDir, format: "geojson" as const, skipExisting: true, openSession: open };
    const again = await predictFolder(images, model, options);
    expect(counts.sessions).toBe(0);
    expect(await readFile(path)).toEqual(before);
    expect(again.map(({ instances }) => instances)).toEqual(rows.map(({ instances }) => instances));
    const { features } = JSON.parse(readFileSync(join(outputDir, `${names[0]}.geojson`), "utf8"));
    const scores = features.map((feature: { properties: { name: string; measurements: { score: number } } }) => [
      Number(feature.properties.name),
      feature.properties.measurements.score,
    ]);
    expect(scores).toEqual(rows[0]?.instances.slice(1).map(({ id, score }) => [id, score]));
  });

  it("leaves files alone of which it knows nothing", async () => {
    const outputDir = join(folder, "foreign");
    await mkdir(outputDir);
    for (const name of names) await writeFile(join(outputDir, `${name}.tif`), "mine");
    const told: string[] = [];
    const options = { outputDir, skipExisting: true, onWarning: (message: string) => told.push(message) };
    expect(await predictFolder(images, model, options)).toEqual([]);
    expect(told).toEqual(names.map((name) => expect.stringContaining(name)));
    for (const name of names) expect(await readFile(join(outputDir, `${name}.tif`), "utf8")).toBe("mine");
    await writeFile(join(outputDir, "coco.json"), "mine too");
    await expect(predictFolder(images, model, { ...options, format: "coco" })).rejects.toMatchObject({
      code: "ERR_OUTPUT_EXISTS",
    });
    expect(await readFile(join(outputDir, "coco.json"), "utf8")).toBe("mine too");
  });

  it("refuses options and formats that it does not know, with the nearest", async () => {
    const outputDir = join(folder, "refused");
    const wrong = { outputDir, formats: "png", overwrit: true } as unknown as PredictFolderOptions;
    await expect(predictFolder(images, model, wrong)).rejects.toMatchObject({
      code: "ERR_INVALID_ARGUMENT",
      message: expect.stringMatching(/formats; did you mean format\?\n.*overwrit; did you mean overwrite\?/),
    });
    const format = "geojsn" as "geojson";
    await expect(predictFolder(images, model, { outputDir, format })).rejects.toThrow(/geojsn \(did you mean geojson\?\)/);
    await expect(predictFolder(images, model, {} as PredictFolderOptions)).rejects.toThrow(/outputDir is missing/);
    const both = { outputDir, overwrite: true, skipExisting: true };
    await expect(predictFolder(images, model, both)).rejects.toMatchObject({ code: "ERR_INVALID_ARGUMENT" });
    expect(existsSync(outputDir)).toBe(false);
  });

  it("looks for the weights before it builds a network", async () => {
    const { counts, open } = counting();
    const path = join(folder, "nowhere.pth");
    const missing = { code: "ERR_FILE", message: expect.stringContaining(path), detail: { path } };
    await expect(openPredictor({ ...model, weights: path, size: "vit_b" }, { openSession: open })).rejects.toMatchObject(
      missing,
    );
    const outputDir = join(folder, "unwritten");
    const asked = predictFolder(images, { ...model, weights: path, size: "vit_b" }, { outputDir, openSession: open });
    await expect(asked).rejects.toMatchObject(missing);
    expect([counts.sessions, existsSync(outputDir)]).toEqual([0, false]);
    await expect(openPredictor({ ...model, weights: folder, size: "vit_b" })).rejects.toThrow(/is no file/);
  });
});

describe("predictMany", () => {
  longTest("gives each result by name, as predict does, and takes images as they are needed", async () => {
    let taken = 0;
    async function* listed() {
      for (const name of names) {
        taken++;
        yield name === names[1]
          ? { name, image: await predictor.read(join(images, `${name}.png`)) }
          : { name, image: join(images, `${name}.png`) };
      }
    }
    const seen: string[] = [];
    for await (const { name, image, prediction } of predictMany(predictor, listed(), { concurrency: 1 })) {
      seen.push(name);
      expect(taken).toBe(seen.length);
      expect(prediction).toEqual(await predictor.predict(image));
    }
    expect(seen).toEqual(names);
  });

  longTest("names the image that fails, or leaves it out", async () => {
    const list = [join(images, `${names[0]}.png`), join(images, "none.png"), join(images, `${names[2]}.png`)];
    const all = async (options = {}) => {
      const got: string[] = [];
      for await (const { name } of predictMany(predictor, list, options)) got.push(name);
      return got;
    };
    await expect(all()).rejects.toMatchObject({
      code: "ERR_FILE",
      message: expect.stringMatching(/^\S*none\.png: it does not/),
    });
    const failed: string[] = [];
    expect(await all({ onError: (name: string) => failed.push(name) })).toEqual([list[0], list[2]]);
    expect(failed).toEqual([list[1]]);
    // The predictor stays open, also after a failure.
    expect((await predictor.predict(await predictor.read(list[0] as string))).count).toBeGreaterThan(0);
  });

  it("says what it takes", async () => {
    const refused = (call: () => Promise<unknown>, message: RegExp) =>
      expect(call()).rejects.toMatchObject({ code: "ERR_INVALID_ARGUMENT", message: expect.stringMatching(message) });
    await refused(() => predictMany(predictor, "a.png").next(), /a list of paths/);
    await refused(() => predictMany(predictor, [3] as never).next(), /an image: options must be given as an object/);
    await refused(() => predictor.predict("a.png" as never), /predictor\.read or readImage/);
    await refused(() => openPredictor("cellsam-tiny" as never), /\{ weights: "cellsam-tiny" \}/);
    const image = { data: new Uint8Array(64 * 64), shape: [64, 64] };
    await refused(() => predictor.predict(image, { boxes: [1, 2, 3, 4] as never }), /must be a Float32Array/);
    expect((await predictor.predict(image, { boxes: new Float32Array(0) })).prompt).toHaveLength(0);
  });

  it("stops at a signal, and at the end of the loop, and closes a model of its own", async () => {
    const stop = new AbortController();
    const list = names.map((name) => join(images, `${name}.png`));
    let disposed = 0;
    const open: typeof openSession = async (options) => {
      const session = await openSession(options);
      const dispose = session.dispose.bind(session);
      session.dispose = () => {
        disposed++;
        return dispose();
      };
      return session;
    };
    const run = async () => {
      for await (const _ of predictMany(model, list, { signal: stop.signal, openSession: open }))
        stop.abort(new Error("enough"));
    };
    await expect(run()).rejects.toThrow("enough");
    expect(disposed).toBe(1);
    for await (const _ of predictMany(model, list, { openSession: open })) break;
    expect(disposed).toBe(2);
    const wrong = predictMany(predictor, list, { concurency: 3 } as object);
    await expect(wrong.next()).rejects.toThrow(/did you mean concurrency\?/);
  });
});

describe("boxes", () => {
  it("keep their rows, also where cells overlap or are empty", async () => {
    const image = await predictor.read(join(images, `${names[2]}.png`));
    const found = await predictor.predict(image);
    expect(found.count).toBeGreaterThan(1);
    const box = (i: number) => [...found.boxes.data.subarray(4 * i, 4 * i + 4)];
    // Two cells in the order opposite to their scores, the first of them again, and a box on empty background.
    const [height = 0, width = 0] = image.shape;
    const boxes = Float32Array.from([...box(1), ...box(0), ...box(1), width - 2, height - 2, width - 1, height - 1]);
    const { prompt, count, labels, ...rows } = await predictor.predict(image, { boxes });
    expect(count).toBe(4);
    expect([...prompt].sort()).toEqual([0, 1, 2, 3]);
    expect([rows.scores.shape, rows.ious.shape, rows.boxes.shape]).toEqual([[4], [4], [4, 4]]);
    const cells = new Set(labels.data);
    for (let i = 0; i < 4; i++) {
      const own = [...rows.boxes.data.subarray(4 * i, 4 * i + 4)].map(Math.fround);
      expect(own).toEqual([...boxes.subarray(4 * (prompt[i] as number), 4 * (prompt[i] as number) + 4)]);
      expect(Number.isFinite(rows.scores.data[i])).toBe(cells.has(i + 1));
      if (!cells.has(i + 1)) continue;
      // Most of the cell lies in its box.
      const [x0, y0, x1, y1] = own as [number, number, number, number];
      const pixels = [...labels.data.keys()].filter((at) => labels.data[at] === i + 1);
      const inside = pixels.filter((at) => {
        const [x, y] = [at % width, Math.floor(at / width)];
        return x >= x0 - 2 && x <= x1 + 1 && y >= y0 - 2 && y <= y1 + 1;
      });
      expect(inside.length / pixels.length).toBeGreaterThan(0.8);
    }
    // Of the two boxes that are the same one has the cell.
    const same = [0, 2].map((row) => prompt.indexOf(row) + 1);
    expect(same.filter((id) => cells.has(id))).toHaveLength(1);
  });

  it("are refused when they are not four numbers each", async () => {
    const image = await predictor.read(join(images, `${names[0]}.png`));
    await expect(predictor.predict(image, { boxes: new Float32Array(6) })).rejects.toMatchObject({
      code: "ERR_INVALID_ARGUMENT",
    });
    const wrong = { boxs: new Float32Array(4) } as object;
    await expect(predictor.predict(image, wrong)).rejects.toThrow(/did you mean boxes\?/);
  });

  it("that the engine does not return get rows after the others", () => {
    const f64 = (data: number[], shape: number[]) => ({ data: Float64Array.from(data), shape });
    const given = { data: Float32Array.of(0, 0, 1, 1, 5.1, 5.2, 9, 9, 0, 0, 1, 1), shape: [3, 4] };
    const found = {
      labels: { data: Int32Array.of(1), shape: [1, 1] },
      scores: f64([0.5], [1]),
      ious: f64([0.4], [1]),
      boxes: f64([5.1, 5.2, 9, 9], [1, 4]),
      count: 1,
    };
    const { prompt, scores, boxes, count } = withPrompts(found, given);
    expect([count, [...prompt], [...scores.data]]).toEqual([3, [1, 0, 2], [0.5, Number.NaN, Number.NaN]]);
    expect([...boxes.data.subarray(4)]).toEqual([0, 0, 1, 1, 0, 0, 1, 1]);
  });
});

describe("stored pixels", () => {
  it("are all channels, whatever the settings choose", async () => {
    const path = join(folder, "five.npy");
    const data = Int32Array.from({ length: 8 * 6 * 5 }, (_, i) => i - 3);
    await writeFile(path, encodeNpy(data, [8, 6, 5]));
    const stored = await decodeStored(path, { channels: [1] });
    expect(stored).toMatchObject({ shape: [8, 6, 5], dtype: "int32" });
    expect(stored.data).toEqual(data);
  });
});
