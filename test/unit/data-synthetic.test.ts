import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { checkDataset } from "../../lib/data/check.js";
import { decodeImage } from "../../lib/data/decode.js";
import { discover } from "../../lib/data/discover.js";
import { connectedComponents } from "../../lib/data/labels.js";
import { Random } from "../../lib/data/random.js";
import { drawField, generateSynthetic } from "../../lib/data/synthetic.js";
import { writeOverlay } from "../../lib/report/overlay.js";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cellsam-synthetic-"));
});
afterAll(() => rm(folder, { recursive: true }));

const SIZE = 128;

describe("drawField", () => {
  const fields = Array.from({ length: 12 }, (_, i) => drawField(new Random(i * 17), SIZE));

  it("draws 8 to 20 whole, numbered cells of 13 to 32 px", () => {
    for (const { labels, count } of fields) {
      expect(count).toBeGreaterThanOrEqual(8);
      expect(count).toBeLessThanOrEqual(20);
      expect(Math.max(...labels)).toBe(count);
      for (let id = 1; id <= count; id++) {
        const own = labels.map((label) => (label === id ? 1 : 0));
        expect(connectedComponents(own, SIZE, SIZE).count).toBe(1);
        const xs = [...own.keys()].filter((at) => own[at]).map((at) => at % SIZE);
        const ys = [...own.keys()].filter((at) => own[at]).map((at) => Math.floor(at / SIZE));
        // A cell that the edge of the picture cuts may be smaller.
        const side = Math.max(Math.max(...xs) - Math.min(...xs), Math.max(...ys) - Math.min(...ys)) + 1;
        expect(side).toBeLessThanOrEqual(33);
        expect(side).toBeGreaterThanOrEqual(10);
      }
    }
  });

  it("makes clumps: most cells touch another", () => {
    let touching = 0;
    let all = 0;
    for (const { labels, count } of fields) {
      const met = new Set<number>();
      labels.forEach((label, at) => {
        const right = at % SIZE < SIZE - 1 ? (labels[at + 1] ?? 0) : 0;
        const below = labels[at + SIZE] ?? 0;
        for (const other of [right, below]) if (label && other && other !== label) met.add(label).add(other);
      });
      touching += met.size;
      all += count;
    }
    expect(touching / all).toBeGreaterThan(0.6);
  });

  it("is brighter inside every cell than around, but not separable by one threshold between cells that touch", () => {
    for (const { pixels, labels, count } of fields) {
      const sum = new Float64Array(count + 1);
      const size = new Float64Array(count + 1);
      labels.forEach((label, at) => {
        sum[label] = (sum[label] ?? 0) + (pixels[at] ?? 0);
        size[label] = (size[label] ?? 0) + 1;
      });
      const means = [...sum].map((value, id) => value / (size[id] ?? 1));
      for (const mean of means.slice(1)) expect(mean).toBeGreaterThan((means[0] ?? 0) + 35);
      const bright = connectedComponents(
        pixels.map((value) => (value > (means[0] ?? 0) + 35 ? 1 : 0)),
        SIZE,
        SIZE,
      );
      const sizes = new Map<number, number>();
      for (const id of bright.data) if (id) sizes.set(id, (sizes.get(id) ?? 0) + 1);
      expect([...sizes.values()].filter((area) => area > 60).length).toBeLessThan(count);
    }
  });
});

describe("generateSynthetic", () => {
  it("writes a sound data set, the same one for the same seed", async () => {
    const one = await generateSynthetic({ directory: join(folder, "one"), images: 3, seed: 4 });
    const two = await generateSynthetic({ directory: join(folder, "two"), images: 2, seed: 4 });
    const three = await generateSynthetic({ directory: join(folder, "three"), images: 2, seed: 5 });
    const bytes = (set: typeof one) => readFile(join(set.imgPath, "synthetic_001.png"));
    expect(Buffer.compare(await bytes(one), await bytes(two))).toBe(0);
    expect(Buffer.compare(await bytes(one), await bytes(three))).not.toBe(0);
    const { pairs, problems } = await discover(one);
    expect(problems).toEqual([]);
    expect(pairs.map(({ source }) => source)).toEqual(one.stems);
    expect((await checkDataset(pairs)).cells).toBe(one.cells);
  });

  it("refuses senseless sizes", async () => {
    await expect(generateSynthetic({ directory: folder, images: 0, seed: 1 })).rejects.toThrow(/images/);
    await expect(generateSynthetic({ directory: folder, images: 1, size: 20, seed: 1 })).rejects.toThrow(/size/);
  });
});

describe("writeOverlay", () => {
  const shape = [4, 6] as const;
  const image = { data: Float32Array.from({ length: 24 }, (_, i) => i / 23), shape };
  const labels = { data: Int32Array.from({ length: 24 }, (_, i) => (i % 6 === 2 || i % 6 === 3 ? 5 : 0)), shape };

  it("puts enlarged panels side by side, truth in green and prediction in red", async () => {
    await writeOverlay(join(folder, "overlay.png"), image, labels, { data: new Int32Array(24).fill(1), shape });
    const { data, shape: size } = await decodeImage(join(folder, "overlay.png"));
    // 6 x 4 pixels are enlarged 86 times (512 / 6, rounded up); three panels with gaps of 8.
    expect(size).toEqual([4 * 86, 3 * 6 * 86 + 16, 3]);
    const at = (x: number, y: number) => [...data.slice((y * (size[1] ?? 0) + x) * 3, (y * (size[1] ?? 0) + x) * 3 + 3)];
    const panel = 6 * 86 + 8;
    expect(at(panel + 2 * 86 + 3, 100)).toEqual([60, 255, 90]);
    expect(at(panel + 43, 100)[0]).toBe(at(43, 100)[0]);
    expect(at(2 * panel + 3, 100)).toEqual([255, 70, 60]);
    expect(at(2 * panel + 2 * 86 + 43, 100)).toEqual(at(2 * 86 + 43, 100));
    expect(at(panel - 4, 50)).toEqual([255, 255, 255]);
    expect(at(5, 5)).toEqual([0, 0, 0]);
    expect(at(6 * 86 - 5, 4 * 86 - 5)).toEqual([255, 255, 255]);
  });

  it("leaves the truth panel out without truth, and refuses other sizes", async () => {
    await writeOverlay(join(folder, "two.png"), image, undefined, labels);
    expect((await decodeImage(join(folder, "two.png"))).shape[1]).toBe(2 * 6 * 86 + 8);
    await expect(writeOverlay(join(folder, "no.png"), image, undefined, { data: labels.data, shape: [6, 4] })).rejects.toThrow(
      /do not fit/,
    );
  });
});
