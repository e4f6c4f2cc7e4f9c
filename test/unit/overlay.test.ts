/** Pictures of predictions for people: every cell outlined in a colour that its neighbours do not have. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { decodeImage } from "../../lib/data/decode.js";
import { Random } from "../../lib/data/random.js";
import { cellColours } from "../../lib/report/cellColours.js";
import { writeOutlines } from "../../lib/report/overlay.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cellsam-overlay-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** A map without background: every pixel belongs to the nearest of `count` points. */
function mosaic(seed: number, side: number, count: number) {
  const random = new Random(seed);
  const points = Array.from({ length: count }, () => [random.uniform(0, side), random.uniform(0, side)] as const);
  const data = new Int32Array(side * side);
  for (let i = 0; i < data.length; i++) {
    const distances = points.map(([x, y]) => (x - (i % side)) ** 2 + (y - Math.floor(i / side)) ** 2);
    data[i] = distances.indexOf(Math.min(...distances)) + 1;
  }
  return { data, shape: [side, side] as [number, number] };
}

it.each([1, 2, 3])("cells that share an edge have different colours (mosaic %i)", (seed) => {
  const labels = mosaic(seed, 96, 120);
  const colour = cellColours(labels);
  const used = new Set<string>();
  for (let i = 0; i + 96 < labels.data.length; i++) {
    used.add(colour(labels.data[i] as number).join());
    for (const next of i % 96 < 95 ? [i + 1, i + 96] : [i + 96]) {
      const [a, b] = [labels.data[i] as number, labels.data[next] as number];
      if (a !== b) expect(colour(a)).not.toBe(colour(b));
    }
  }
  expect(used.size).toBeGreaterThanOrEqual(4);
});

it("cells with a few pixels between them have different colours too", () => {
  // Ids that would all begin with the same colour.
  const colour = cellColours({ data: Int32Array.of(1, 0, 0, 0, 7, 0, 0, 0, 13), shape: [1, 9] });
  expect(colour(1)).not.toBe(colour(7));
  expect(colour(7)).not.toBe(colour(13));
});

it("draws outlines on a contrast-stretched image, which stays as it is elsewhere", async () => {
  const side = 600;
  const image = { data: Uint16Array.from({ length: side * side }, (_, i) => 1000 + (i % side)), shape: [side, side] };
  const data = new Int32Array(side * side);
  for (let y = 100; y < 200; y++) data.fill(1, y * side + 100, y * side + 200);
  const path = join(folder, "outlines.png");
  await writeOutlines(path, image, { data, shape: [side, side] });
  const picture = await decodeImage(path);
  const at = (x: number, y: number) => [...picture.data.subarray((y * side + x) * 3, (y * side + x) * 3 + 3)];
  expect(picture.shape).toEqual([side, side, 3]);
  expect(at(0, 0)).toEqual([0, 0, 0]);
  expect(at(599, 599)).toEqual([255, 255, 255]);
  const [grey, outline] = [at(150, 150), at(100, 150)];
  expect(new Set(grey).size).toBe(1);
  expect(new Set(outline).size).toBeGreaterThan(1);
  expect(at(199, 150)).toEqual(outline);
  expect(new Set(at(99, 150)).size).toBe(1);
  await expect(writeOutlines(path, image, { data, shape: [side, side - 1] })).rejects.toThrow(RangeError);
});

it("enlarges small images", async () => {
  const path = join(folder, "small.png");
  await writeOutlines(
    path,
    { data: Uint8Array.of(0, 255, 0, 255), shape: [2, 2] },
    { data: Int32Array.of(1, 0, 0, 0), shape: [2, 2] },
  );
  expect((await decodeImage(path)).shape).toEqual([512, 512, 3]);
});
