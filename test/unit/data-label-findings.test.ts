// Masks whose numbers do not mean one region a cell, soft masks, and a background that counts as a cell. All are drawn here.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadDataset } from "../../lib/data/dataset.js";
import { labelFacts } from "../../lib/data/labelFacts.js";
import { labelFindings, type MaskFacts } from "../../lib/data/labelFindings.js";
import { connectedComponents } from "../../lib/data/labels.js";
import type { ReadingOptions } from "../../lib/data/pair.js";
import { idRegions } from "../../lib/data/regions.js";
import { coverage, drawnField, type Field, interpolated, photographed, random, writePng } from "./drawn-cells.js";

let folder = "";
let sets = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cellsam-findings-"));
});
afterAll(() => rm(folder, { recursive: true }));

const COUNT = 10;
const fields = Array.from({ length: 3 }, (_, i) => drawnField(i + 1, { count: COUNT }));

type Mask = Uint8Array | Uint16Array;

/** Writes three fields with the masks that `mask` makes of them, and reads them as a run does. */
async function read(mask: (field: Field, i: number) => Mask | Promise<Mask>, options: ReadingOptions = {}, from = fields) {
  const own = join(folder, String(sets++));
  for (const [i, field] of from.entries()) {
    const data = await mask(field, i);
    const side = Math.sqrt(data.length);
    await writePng(join(own, "i", `f${i}.png`), photographed(field.side === side ? field : drawnField(9, { side })), [
      side,
      side,
    ]);
    await writePng(join(own, "m", `f${i}.png`), data, [side, side]);
  }
  const data = await loadDataset({ imgPath: join(own, "i"), maskPath: join(own, "m"), ...options }).catch(
    (error: { detail: { problems: { path: string; message: string; fix: string }[] } }) => ({
      problems: error.detail.problems,
    }),
  );
  if ("problems" in data) return { cells: 0, warnings: [], notes: [], problems: data.problems };
  return { ...data, cells: data.pairs.reduce((sum, { cells }) => sum + cells, 0), problems: [] };
}

const plain = (field: Field) => field.ids;
const text = (problems: readonly { message: string; fix: string }[]) => problems.map((p) => `${p.message} -> ${p.fix}`);

describe("one id, many regions", () => {
  it("says nothing about labels as they should be, also of cells that touch or were scribbled over", async () => {
    const sound = await read(plain);
    expect(sound).toMatchObject({ cells: 3 * COUNT, problems: [], warnings: [] });
    // A line of one pixel, straight or diagonal, across all cells.
    const scribbled = await read(({ ids, side }) =>
      ids.map((id, i) => (i % side === Math.floor(i / side) || i % side === 48 || Math.floor(i / side) === 40 ? 0 : id)),
    );
    expect(scribbled).toMatchObject({ cells: 3 * COUNT, problems: [], warnings: [] });
  });

  it("refuses masks of classes, all of them at once, and relabel makes the cells", async () => {
    for (const classes of [2, 3, 5]) {
      const mask = ({ ids }: Field) => Uint8Array.from(ids, (id) => (id > 0 ? 1 + (id % classes) : 0));
      const refused = await read(mask);
      expect(refused.problems).toHaveLength(3);
      for (const line of text(refused.problems)) expect(line).toMatch(/classes.*relabel: connected/);
      expect((await read(mask, { relabel: "connected" })).cells).toBe(3 * COUNT);
      expect(await read(mask, { relabel: "keep" })).toMatchObject({ cells: 3 * classes, warnings: [] });
    }
  });

  it("refuses foreground masks of any one value", async () => {
    for (const value of [1, 2, 100]) {
      const mask = ({ ids }: Field) => Uint8Array.from(ids, (id) => (id > 0 ? value : 0));
      const refused = await read(mask);
      expect(refused.problems).toHaveLength(3);
      for (const line of text(refused.problems)) expect(line).toMatch(/10 separate regions.*binary_masks: true/);
      expect((await read(mask, { binaryMasks: true })).cells).toBe(3 * COUNT);
      expect((await read(mask, { relabel: "connected" })).cells).toBe(3 * COUNT);
    }
  });

  it("takes one cell an image, whole or in two parts, for what it is", async () => {
    const one = Array.from({ length: 3 }, (_, i) => drawnField(40 + i, { count: 1, radius: [15, 20] }));
    expect(await read(plain, {}, one)).toMatchObject({ cells: 3, problems: [], warnings: [] });
    const cutOnce = await read(
      ({ ids, side }, i) => ids.map((id, k) => (i === 0 && k % side > 46 && k % side < 52 ? 0 : id)),
      {},
      one,
    );
    expect(cutOnce.problems).toEqual([]);
  });

  it("warns of ids that were cut to 8 bit, and does not speak of tiles", async () => {
    const many = [drawnField(5, { side: 320, count: 330, radius: [3, 4] })];
    const mask = ({ ids }: Field) => Uint8Array.from(ids, (id) => id % 256);
    const cut = await read(mask, {}, many);
    expect(cut.problems).toEqual([]);
    expect(cut.warnings.join("\n")).toMatch(/cut to 8 bit in f0\.png.*74 of 255 ids.*16 bit/);
    expect(cut.warnings.join("\n")).not.toMatch(/tile|relabel/);
    // With three times as many cells most ids are wrong, which no setting mends.
    const dense = await read(mask, {}, [drawnField(6, { side: 420, count: 700, radius: [3, 4] })]);
    expect(text(dense.problems).join()).toMatch(/cut to 8 bit.*16 bit/);
    // 255 cells are not too many for 8 bit.
    expect((await read(plain, {}, [drawnField(5, { side: 320, count: 255, radius: [3, 4] })])).warnings).toEqual([]);
  });

  it("warns of some ids in several regions, with file and ids", async () => {
    const stray = await read(({ ids }, i) => {
      const out = ids.slice();
      if (i === 1) {
        const free = [...ids.keys()].filter((k) => k % 96 > 90 && Math.floor(k / 96) > 90 && ids[k] === 0);
        for (const k of free.slice(0, 4)) out[k] = 3;
      }
      return out;
    });
    expect(stray.problems).toEqual([]);
    expect(stray.warnings).toHaveLength(1);
    expect(stray.warnings[0]).toMatch(/^1 ids .*1 of 3 masks \(f1\.png: 3\)/);
  });

  it("counts regions as a flood fill does, in any map", () => {
    const next = random(11);
    for (let trial = 0; trial < 20; trial++) {
      const [height, width] = [7 + trial, 23 - trial];
      const ids = Int32Array.from({ length: height * width }, () => (next() < 0.35 ? 1 + Math.floor(next() * 3) : 0));
      const found = idRegions(ids, height, width);
      for (const id of [1, 2, 3]) {
        const pixels = [...ids.keys()].filter((i) => ids[i] === id);
        const seen = new Set<number>();
        let regions = 0;
        for (const start of pixels) {
          if (seen.has(start)) continue;
          regions++;
          const queue = [start];
          seen.add(start);
          for (let at = queue.pop(); at !== undefined; at = queue.pop()) {
            const [y, x] = [Math.floor(at / width), at % width];
            for (const other of pixels) {
              const near = Math.abs(Math.floor(other / width) - y) <= 2 && Math.abs((other % width) - x) <= 2;
              if (near && !seen.has(other)) {
                seen.add(other);
                queue.push(other);
              }
            }
          }
        }
        expect(found?.get(id)?.regions ?? 0).toBe(regions);
        expect(found?.get(id)?.area ?? 0).toBe(pixels.length);
      }
    }
  });

  it("counts 40 000 cells of 10 000 x 10 000 pixels", () => {
    // About 1.2 million runs.
    const side = 10000;
    const ids = new Int32Array(side * side);
    for (let k = 0; k < 40000; k++) {
      const at = Math.floor(k / 200) * 50 * side + (k % 200) * 50;
      for (let y = 0; y < 30; y++) ids.fill(k + 1, at + y * side, at + y * side + 30);
    }
    const facts = labelFacts({ data: ids, shape: [side, side] });
    expect(facts).toMatchObject({ ids: 40000, split: 0, regions: 40000, background: null });
  });
});

describe("smeared and soft masks", () => {
  it("refuses label images that were resized with interpolation, also with few cells or saved in 8 bit", async () => {
    for (const [to, count] of [
      [144, 10],
      [192, 10],
      [240, 6],
      [128, 14],
      [128, 3],
      [64, 10],
    ] as const) {
      const from = Array.from({ length: 3 }, (_, i) => drawnField(60 + i, { count, radius: [6, 9] }));
      const refused = await read(({ ids, side }) => Uint8Array.from(interpolated(ids, side, to)), {}, from);
      expect(refused.problems, `${to}`).toHaveLength(3);
      for (const line of text(refused.problems)) expect(line).toMatch(/resized with interpolation.*nearest neighbour/);
    }
    // sharp's kernels, of which the cubic ones also overshoot.
    for (const kernel of ["cubic", "lanczos3"] as const) {
      const resized = await read(async ({ ids, side }) => {
        const raw = { width: side, height: side, channels: 1 as const };
        const image = sharp(Buffer.from(Uint8Array.from(ids)), { raw }).resize(150, 150, { kernel });
        return new Uint8Array(await image.toColourspace("b-w").raw().toBuffer());
      });
      expect(text(resized.problems).join(), kernel).toMatch(/interpolation/);
    }
    // An outline of one pixel around an inside is none.
    const outlined = await read(
      ({ ids, side }) =>
        ids.map((id, i) => (id === 0 ? 0 : [1, -1, side, -side].every((step) => ids[i + step] === id) ? 2 : 1)),
      { binaryMasks: true },
    );
    expect(outlined.cells).toBe(3 * COUNT);
    // Nearest neighbour keeps the ids.
    const nearest = await read(({ ids, side }) =>
      Uint16Array.from(
        { length: 144 * 144 },
        (_, i) => ids[Math.floor(Math.floor(i / 144) / 1.5) * side + Math.floor((i % 144) / 1.5)] as number,
      ),
    );
    expect(nearest).toMatchObject({ cells: 3 * COUNT, problems: [], warnings: [] });
  });

  const jpeg = (quality: number) => async (field: Field) => {
    const raw = { width: field.side, height: field.side, channels: 1 as const };
    const file = await sharp(Buffer.from(Uint8Array.from(field.ids, (id) => (id > 0 ? 255 : 0))), { raw })
      .jpeg({ quality })
      .toBuffer();
    return new Uint8Array(await sharp(file).toColourspace("b-w").raw().toBuffer());
  };
  const blurred = async (field: Field) => {
    const raw = { width: field.side, height: field.side, channels: 1 as const };
    const binary = Buffer.from(Uint8Array.from(field.ids, (id) => (id > 0 ? 255 : 0)));
    return new Uint8Array(await sharp(binary, { raw }).blur(0.8).toColourspace("b-w").raw().toBuffer());
  };
  it.each([
    ["antialiased", (field: Field) => coverage(field)],
    ["antialiased in 16 bit", (field: Field) => Uint16Array.from(coverage(field), (value) => value * 257)],
    ["antialiased up to 200", (field: Field) => coverage(field).map((value) => Math.round((value * 200) / 255))],
    ["through a bad JPEG", jpeg(50)],
    ["through a JPEG", jpeg(85)],
    ["through a good JPEG", jpeg(97)],
    ["blurred", blurred],
    [
      "with a few values below 255",
      ({ ids }: Field) => Uint8Array.from(ids, (id, i) => (id === 0 ? 0 : i % 5 === 0 ? 252 + (i % 3) : 255)),
    ],
  ])("cuts foreground masks %s at half, and refuses them otherwise", async (_, mask) => {
    const refused = await read(mask);
    expect(refused.problems).toHaveLength(3);
    for (const line of text(refused.problems)) {
      expect(line).toMatch(/foreground mask with grey edges.*binary_masks: true/);
      expect(line).not.toMatch(/swapped/);
    }
    const cut = await read(mask, { binaryMasks: true });
    expect(cut).toMatchObject({ cells: 3 * COUNT, warnings: [] });
  });

  it("keeps the low ids of label images under binary_masks", async () => {
    expect((await read(plain, { binaryMasks: true })).cells).toBe(3 * COUNT);
    const spread = (field: Field) => field.ids.map((id) => id * 25);
    expect((await read(spread, { binaryMasks: true })).cells).toBe(3 * COUNT);
    expect((await read(spread)).cells).toBe(3 * COUNT);
  });
});

describe("the background as a cell", () => {
  it("is refused in foreground masks and labels, with the value that mends it", async () => {
    const inverted = ({ ids }: Field) => Uint8Array.from(ids, (id) => (id > 0 ? 0 : 255));
    const refused = await read(inverted, { binaryMasks: true });
    expect(refused.problems).toHaveLength(3);
    for (const line of text(refused.problems)) expect(line).toMatch(/all four borders.*inverted.*background_label: 255/);
    expect(text(refused.problems).join()).not.toMatch(/tile/);
    expect((await read(inverted, { binaryMasks: true, backgroundLabel: 255 })).cells).toBe(3 * COUNT);
    const soft = (field: Field) => coverage(field).map((value) => 255 - value);
    expect((await read(soft, { binaryMasks: true })).problems).toHaveLength(3);
    expect((await read(soft, { binaryMasks: true, backgroundLabel: 255 })).cells).toBe(3 * COUNT);
    // A watershed numbers the background 1, with lines of 0 between.
    const watershed = ({ ids }: Field) => ids.map((id) => id + 1);
    for (const line of text((await read(watershed)).problems))
      expect(line).toMatch(/id 1 touches all four.*background_label: 1/);
    const mended = await read(watershed, { backgroundLabel: 1 });
    expect(mended).toMatchObject({ cells: 3 * COUNT, problems: [], warnings: [] });
    expect((await read(watershed, { backgroundLabel: 0 })).cells).toBe(3 * (COUNT + 1));
  });

  it("is a warning where one image has it", async () => {
    const one = await read(({ ids }, i) => (i === 1 ? ids.map((id) => id || 77) : ids));
    expect(one.problems).toEqual([]);
    expect(one.warnings.join()).toMatch(/f1\.png.*four borders.*id 77/);
  });
});

describe("specks", () => {
  const specked = ({ ids, side }: Field) => {
    const out = ids.slice();
    let id = 1000;
    for (let k = 0; k < 8; k++) {
      const at = (3 + 11 * k) * side + 1;
      if (out[at] === 0) out[at] = out[at + 1] = id++;
    }
    return out;
  };

  it("are counted against the area of the other cells, and min_cell_area leaves them out", async () => {
    const warned = await read(specked);
    const extra = warned.cells - 3 * COUNT;
    expect(extra).toBeGreaterThan(15);
    const [, n, m, limit] = /(\d+) of (\d+) cells are smaller than (\d+) pixels/.exec(warned.warnings.join()) ?? [];
    expect([Number(n), Number(m)]).toEqual([extra, 3 * COUNT + extra]);
    expect(Number(limit)).toBeGreaterThan(2);
    expect(warned.warnings.join()).toMatch(/min_cell_area/);
    const cleaned = await read(specked, { minCellArea: Number(limit) });
    expect(cleaned).toMatchObject({ cells: 3 * COUNT, warnings: [] });
    expect(cleaned.notes.join()).toContain(`left out ${extra} cells of fewer than ${limit} pixels`);
  });

  it("at the border of the image are pieces of cells, and no reason to warn", async () => {
    const cropped = await read(({ ids, side }) => {
      const out = ids.slice();
      for (let k = 0; k < 8; k++) if (out[(3 + 11 * k) * side + 1] === 0) out[(3 + 11 * k) * side] = 1000 + k;
      return out;
    });
    expect(cropped.warnings).toEqual([]);
  });
});

describe("findings", () => {
  it("are a function of the facts alone", () => {
    const facts = { ids: 4, highest: 4, split: 0, divided: 0, regions: 4, examples: [], background: null, removed: 0 };
    const areas = { areas: [50, 60, 70, 80], speckArea: 4, specks: 0 };
    const mask = (path: string, more: object = {}): MaskFacts => ({
      path,
      numbered: true,
      facts: { ...facts, ...areas, ...more },
    });
    expect(labelFindings([mask("a"), mask("b")])).toEqual({ problems: [], warnings: [], notes: [] });
    const divided = { split: 4, divided: 4, regions: 12, examples: [1, 2, 3, 4] };
    // One in three is a warning, two in three are an error, which the third does not share.
    expect(labelFindings([mask("a", divided), mask("b"), mask("c")])).toMatchObject({
      problems: [],
      warnings: [expect.stringMatching(/^4 ids/)],
    });
    const { problems, warnings } = labelFindings([mask("a", divided), mask("b", divided), mask("c")]);
    expect([problems.map(({ path }) => path), warnings]).toEqual([["a", "b"], []]);
    // Objects of annotations may have parts.
    const annotated = [mask("a", divided), mask("b", divided)].map((one) => ({ ...one, numbered: false }));
    expect(labelFindings(annotated)).toEqual({ problems: [], warnings: [], notes: [] });
  });

  it("connect cells over edges alone where regions become cells", () => {
    expect(connectedComponents([1, 0, 2, 0, 1, 2, 1, 1, 0], 3, 3).data).toEqual(Int32Array.of(1, 0, 2, 0, 3, 2, 3, 3, 0));
  });
});
