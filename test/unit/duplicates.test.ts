import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import sharp, { type Sharp } from "sharp";
import { describe, expect, it } from "vitest";
import { decodeImage } from "../../lib/data/decode.js";
import { duplicateSets, findDuplicates, type Thumbnail, thumbnail } from "../../lib/data/duplicates.js";
import { duplicateReport, duplicateWarning } from "../../lib/train/duplicates.js";
import { drawnField, type Field, photographed } from "./drawn-cells.js";

const images = join(import.meta.dirname, "../../../shared/data/dsb2018/images");
const threshold = 0.9;

async function pixels(image: Sharp) {
  const { data, info } = await image.removeAlpha().raw().toBuffer({ resolveWithObject: true });
  return {
    data: new Uint8Array(data),
    dtype: "uint8" as const,
    shape: [info.height, info.width, info.channels] as [number, number, number],
    notes: [],
  };
}

describe.runIf(existsSync(images))("near-duplicates among real images", async () => {
  const files = existsSync(images) ? (await readdir(images)).sort() : [];
  // Every fifth of all kinds: fluorescence, stained tissue, bright field.
  const chosen = files.filter((_, i) => i % 5 === 0).map((file) => join(images, file));
  const originals: Thumbnail[] = [];
  for (const path of chosen) originals.push(thumbnail(path, path, await decodeImage(path)));

  it("takes no two different images for the same", () => {
    expect(originals.length).toBeGreaterThan(20);
    expect(findDuplicates(originals, threshold)).toEqual([]);
  });

  it.each<[string, (image: Sharp, width: number, height: number) => Sharp]>([
    ["flipped", (image) => image.flip()],
    ["mirrored and turned", (image) => image.flop().rotate(90)],
    ["half the size", (image, width, height) => image.resize(width >> 1, height >> 1, { fit: "fill" })],
    ["brighter", (image) => image.linear(1.3, 12)],
    ["JPEG of low quality", (image) => image.jpeg({ quality: 30 })],
    ["noisy", (image) => image],
    [
      "cropped by 1 %",
      (image, w, h) => image.extract({ left: w >> 7, top: h >> 7, width: w - (w >> 6), height: h - (h >> 6) }),
    ],
  ])("finds copies that are %s", async (name, change) => {
    const found: number[] = [];
    for (const [i, path] of chosen.entries()) {
      const { width = 0, height = 0 } = await sharp(path).metadata();
      let changed = change(sharp(path), width, height);
      if (name.startsWith("JPEG")) changed = sharp(await changed.toBuffer());
      const copy = await pixels(changed);
      if (name === "noisy")
        copy.data.forEach((value, at) => {
          copy.data[at] = Math.min(255, Math.max(0, value + ((at * 7919) % 31) - 15));
        });
      const pairs = findDuplicates([...originals, thumbnail("copy", "copy", copy)], threshold);
      if (pairs.some(({ a, b }) => b === "copy" && a === path)) found.push(i);
      for (const { a } of pairs) expect(a).toBe(path);
    }
    expect(found.length).toBeGreaterThanOrEqual(Math.ceil(0.95 * chosen.length));
  });
});

describe("pairs", () => {
  const blank = (stem: string, hash: string) =>
    thumbnail(stem, hash, { data: new Uint8Array(100), dtype: "uint8", shape: [10, 10], notes: [] });

  it("identical files are found even when blank, and blank images are no copies of each other", () => {
    const pairs = findDuplicates([blank("a", "1"), blank("b", "2"), blank("c", "1")], threshold);
    expect(pairs).toEqual([{ a: "a", b: "c", kind: "identical", similarity: 1 }]);
  });

  it("form sets, and are told when they stand on two sides", () => {
    const pair = (a: string, b: string) => ({ a, b, kind: "near" as const, similarity: 0.97 });
    expect(duplicateSets([pair("a", "b"), pair("c", "d"), pair("b", "e")])).toEqual([
      ["a", "b", "e"],
      ["c", "d"],
    ]);
    const splits = [
      { seed: 0, train: ["a", "b"], val: ["c"], test: ["d"] },
      { seed: 0, train: ["a", "c"], val: ["b"], test: ["d"] },
    ];
    const report = duplicateReport([pair("a", "b"), pair("c", "x")], splits, threshold);
    expect(report.pairs.map(({ acrossInFolds }) => acrossInFolds)).toEqual([[{ fold: 2, a: "train", b: "val" }], []]);
    expect(duplicateWarning(report)).toMatch(/^1 pairs .*a and b \(near, 0\.970\)/);
    expect(duplicateWarning(duplicateReport([pair("c", "x")], splits, threshold))).toBeNull();
  });
});

describe("a hot pixel", () => {
  // The camera's own, at one place in every image, far above all others.
  const hot = (field: Field, value: number, seed: number) => {
    const { side } = field;
    const data = Float32Array.from(photographed(field, seed));
    data[17 * side + 30] = value;
    return { data, dtype: "float32" as const, shape: [side, side] as [number, number], notes: [] };
  };
  const fields = [1, 2, 3].map((seed) => drawnField(seed));
  const shown = (image: ReturnType<typeof hot>, name: string) => thumbnail(name, name, image);

  it.each([1e4, 1e6, 3e38])("of %f makes no two different images near-duplicates", (value) => {
    expect(
      findDuplicates(
        fields.map((field, i) => shown(hot(field, value, i), `f${i}`)),
        threshold,
      ),
    ).toEqual([]);
  });

  it("hides no copy", () => {
    const [field] = fields as [Field];
    const pairs = findDuplicates([shown(hot(field, 20, 1), "plain"), shown(hot(field, 1e6, 2), "hot")], threshold);
    expect(pairs).toMatchObject([{ a: "plain", b: "hot", kind: "near" }]);
  });

  it("is what is compared where an image shows nothing else", () => {
    const spot = (at: number) => {
      const data = new Float32Array(96 * 96);
      for (let i = 0; i < 3; i++) data[at + i] = 100;
      return thumbnail(String(at), String(at), { data, dtype: "float32", shape: [96, 96], notes: [] });
    };
    expect(findDuplicates([spot(500), spot(5000)], threshold)).toEqual([]);
    const twice = [spot(500), { ...spot(500), source: "copy", hash: "copy" }];
    expect(findDuplicates(twice, threshold)).toHaveLength(1);
  });
});
