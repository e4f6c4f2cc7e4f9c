/** Images that stay open for prompts, with cellsam-tiny on real nuclei. */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { weightsFile } from "../../lib/config/shippedWeights.js";
import { readImage } from "../../lib/data/readImage.js";
import { type ImageArray, openSession } from "../../lib/engine/session.js";
import type { ImageView, PromptedCell } from "../../lib/predict/imageView.js";
import { openPredictor, type Predictor } from "../../lib/predict/predictor.js";
import type { Prompt } from "../../lib/predict/prompts.js";
import { isPretend, testDevice } from "../device.js";

const nuclei = join(import.meta.dirname, "../../examples/nuclei");
const name = "dsb_2c61fdcb36fd.png";

let predictor: Predictor;
let image: ImageArray;
let view: ImageView;
/** True boxes of nuclei. */
let boxes: [number, number, number, number][];

beforeAll(async () => {
  predictor = await openPredictor({ weights: "cellsam-tiny", device: testDevice, precision: "fp32", threads: 2 });
  image = await readImage(join(nuclei, "images", name));
  boxes = boxesOf(await readImage(join(nuclei, "masks", name)));
  view = await predictor.embed(image);
});
afterAll(async () => {
  await view.dispose();
  await predictor.dispose();
});

function boxesOf({ data, shape }: ImageArray): typeof boxes {
  const width = shape[1] as number;
  const found = new Map<number, [number, number, number, number]>();
  for (const [i, id] of data.entries()) {
    if (id === 0) continue;
    const [x, y] = [i % width, Math.floor(i / width)];
    const [x0, y0, x1, y1] = found.get(id) ?? [x, y, x + 1, y + 1];
    found.set(id, [Math.min(x, x0), Math.min(y, y0), Math.max(x + 1, x1), Math.max(y + 1, y1)]);
  }
  return [...found.values()].filter(([x0, y0, x1, y1]) => (x1 - x0) * (y1 - y0) > 60).slice(0, 12);
}

const middle = ([x0, y0, x1, y1]: readonly number[]) =>
  [((x0 as number) + (x1 as number)) / 2, ((y0 as number) + (y1 as number)) / 2] as const;

/** The numbers of the image's pixels that belong to the cell. */
function pixelsOf({ mask, bounds: [x0, y0, x1] }: PromptedCell): Set<number> {
  const pixels = new Set<number>();
  for (const [i, inside] of mask.entries()) {
    if (inside) pixels.add((y0 + Math.floor(i / (x1 - x0))) * view.width + x0 + (i % (x1 - x0)));
  }
  return pixels;
}

function iou(a: Set<number>, b: Set<number>): number {
  const shared = [...a].filter((pixel) => b.has(pixel)).length;
  return shared / (a.size + b.size - shared);
}

describe("a box", () => {
  test("gives the mask of predict with that box, on an image of many tiles", async () => {
    expect(view.width).toBeGreaterThan(128);
    const cells = await view.segment(boxes.map((box) => ({ box })));
    expect(cells.length).toBe(boxes.length);
    for (const [i, cell] of cells.entries()) {
      const { labels, scores } = await predictor.predict(image, { boxes: Float32Array.from(boxes[i] as number[]) });
      const expected = new Set([...labels.data.keys()].filter((pixel) => labels.data[pixel] === 1));
      expect(expected.size).toBeGreaterThan(20);
      expect(pixelsOf(cell)).toEqual(expected);
      expect(cell.score).toBeCloseTo(scores.data[0] as number, 5);
    }
  });

  test("bounds and outline are those of the mask", async () => {
    const [box] = boxes;
    const cell = await view.segment({ box: box as [number, number, number, number] });
    const [x0, y0, x1, y1] = cell.bounds;
    expect(cell.mask.length).toBe((x1 - x0) * (y1 - y0));
    const places = [...pixelsOf(cell)].map((pixel) => [pixel % view.width, Math.floor(pixel / view.width)] as [number, number]);
    const [xs, ys] = [places.map(([x]) => x), places.map(([, y]) => y)];
    expect(cell.bounds).toEqual([Math.min(...xs), Math.min(...ys), Math.max(...xs) + 1, Math.max(...ys) + 1]);
    const ring = cell.outline[0]?.[0] as Int32Array;
    expect([Math.min(...ring.filter((_, i) => i % 2 === 0)), Math.min(...ring.filter((_, i) => i % 2 === 1))]).toEqual([
      x0,
      y0,
    ]);
    // Shoelace: the area of the polygons is the number of pixels.
    let twice = 0;
    for (const rings of cell.outline) {
      for (const r of rings)
        for (let i = 0; i + 3 < r.length; i += 2)
          twice += (r[i] as number) * (r[i + 3] as number) - (r[i + 2] as number) * (r[i + 1] as number);
    }
    expect(twice / 2).toBe(places.length);
  });
});

describe("points", () => {
  test("a point in a nucleus gives about the nucleus of its box", async () => {
    const prompted = await view.segment(boxes.map((box) => ({ points: [middle(box)] })));
    const boxed = await view.segment(boxes.map((box) => ({ box })));
    const near = prompted.filter((cell, i) => iou(pixelsOf(cell), pixelsOf(boxed[i] as PromptedCell)) > 0.5);
    expect(near.length / boxes.length).toBeGreaterThan(0.7);
  });
});

describe("detect", () => {
  test("gives about the boxes of predict, best first", async () => {
    const [{ boxes: found, scores }, predicted] = [await view.detect(), await predictor.predict(image)];
    expect(Math.abs(scores.data.length - predicted.count)).toBeLessThan(0.3 * predicted.count);
    expect([...scores.data]).toEqual([...scores.data].sort((a, b) => b - a));
    const rows = Array.from(scores.data, (_, i) => [...found.data.subarray(4 * i, 4 * i + 4)]);
    const known = Array.from(predicted.scores.data, (_, i) => [...predicted.boxes.data.subarray(4 * i, 4 * i + 4)]);
    const near = known.filter((box) => rows.some((row) => row.every((side, k) => Math.abs(side - (box[k] as number)) < 3)));
    expect(near.length).toBeGreaterThan(0.8 * known.length);
  });
});

describe("many at once", () => {
  test("answers do not depend on what else runs, nor on how many tiles are kept", async () => {
    const prompts: Prompt[] = boxes.flatMap((box) => [{ box }, { points: [middle(box)] }]);
    const one = await view.segment(prompts);
    await using poor = await predictor.embed(image, { keptTiles: 1 });
    const together = await Promise.all(prompts.map((prompt, i) => (i % 2 ? view : poor).segment(prompt)));
    for (const [i, cell] of together.entries()) {
      expect(cell.bounds).toEqual(one[i]?.bounds);
      expect(cell.mask).toEqual(one[i]?.mask);
    }
  });
});

describe("errors", () => {
  const point = [20, 20] as const;
  test.each<[string, unknown, RegExp]>([
    ["a point outside", { points: [[5000, 3]] }, /the point \(5000, 3\) lies outside of the image, which is \d+ x \d+ pixels/],
    ["NaN", { points: [[Number.NaN, 3]] }, /must be finite/],
    ["a flat list of points", { points: [3, 4] }, /points must be a list of \[x, y\]/],
    ["too few labels", { points: [point, point], labels: [1] }, /a label for each of the 2 points/],
    ["a label of 2", { points: [point], labels: [2] }, /must be 1, on the cell, or 0/],
    ["only points beside the cell", { points: [point], labels: [0] }, /all points are beside the cell/],
    ["an empty box", { box: [4, 4, 4, 9] }, /is empty/],
    ["a box outside", { box: [-9, -9, -4, -4] }, /outside of the image/],
    ["three sides", { box: [1, 2, 3] }, /four finite numbers/],
    ["nothing", {}, /needs points, a box, or the mask/],
    ["another name", { point }, /unknown option point; did you mean points/],
    ["a mask of pixels", { mask: new Uint8Array(4) }, /lowResolution of an earlier answer/],
    ["a mask of another model", { mask: { data: new Float32Array(4), shape: [2, 2], tile: 0 } }, /has 64 x 64 logits/],
    [
      "a mask of another image",
      { mask: { data: new Float32Array(4096), shape: [64, 64], tile: 999 } },
      /a tile that this image does not have/,
    ],
  ])("%s", async (_, prompt, message) => {
    const refused = { code: "ERR_INVALID_ARGUMENT", message: expect.stringMatching(message) };
    await expect(view.segment(prompt as Prompt)).rejects.toMatchObject(refused);
    await expect(view.segment([prompt as Prompt])).rejects.toMatchObject(refused);
  });

  test("points that no tile shows together", async () => {
    const far = {
      points: [
        [1, 1],
        [view.width - 1, view.height - 1],
      ] as [number, number][],
    };
    await expect(view.segment(far)).rejects.toMatchObject({
      code: "ERR_TOO_FAR_APART",
      message: expect.stringContaining("one tile of 128 x 128"),
    });
  });

  test("an image by its path, an unknown option", async () => {
    await expect(predictor.embed("cells.png" as unknown as ImageArray)).rejects.toMatchObject({ code: "ERR_INVALID_ARGUMENT" });
    await expect(predictor.embed(image, { tiles: 3 } as object)).rejects.toMatchObject({ code: "ERR_INVALID_ARGUMENT" });
    await expect(predictor.embed(image, { keptTiles: 0 })).rejects.toMatchObject({ code: "ERR_INVALID_ARGUMENT" });
  });
});

describe("the end", () => {
  const box = () => boxes[0] as [number, number, number, number];

  test("calls made before dispose are answered, later ones refused", async () => {
    const closing = await predictor.embed(image);
    const busy = Promise.all(boxes.map((each) => closing.segment({ box: each })));
    await closing.dispose();
    expect((await busy).length).toBe(boxes.length);
    await expect(closing.segment({ box: box() })).rejects.toMatchObject({ code: "ERR_DISPOSED" });
    await expect(closing.detect()).rejects.toMatchObject({ code: "ERR_DISPOSED" });
    await closing.dispose();
    expect((await view.segment({ box: box() })).mask.length).toBeGreaterThan(0); // another view is as it was
  });

  test("a predictor that is disposed of ends its views", async () => {
    const other = await openPredictor({ weights: "cellsam-tiny", device: testDevice, threads: 1 });
    const open = await other.embed(image);
    await other.dispose();
    await expect(open.segment({ box: box() })).rejects.toMatchObject({ code: "ERR_DISPOSED" });
    await open.dispose();
  });

  test("weights that change end a session's views", async () => {
    await using session = await openSession({ size: "tiny", device: testDevice, threads: 1 });
    const open = await session.embed({ image });
    const prompt = { box: { data: Float64Array.from(box()), shape: [4] } };
    expect(await open.segment([prompt])).toHaveLength(1);
    await session.load(weightsFile("cellsam-tiny"));
    await expect(open.segment([prompt])).rejects.toMatchObject({ code: "ERR_STATE" });
    await open.dispose();
  });

  test("a signal cancels", async () => {
    const reason = new Error("enough");
    await expect(view.segment({ box: box(), signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    await expect(view.detect({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    await expect(predictor.embed(image, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const controller = new AbortController();
    const many = view.segment(
      Array.from({ length: isPretend ? 100 : 3000 }, () => ({ box: box() })),
      { signal: controller.signal },
    );
    controller.abort(reason);
    await expect(many).rejects.toBe(reason);
  });
});
