/** Compares masks of one image that several files hold. */
import { decodeLabels } from "./decode.js";
import type { LabelMap } from "./image.js";

/**
 * How the label images differ, or undefined where they show the same cells, whatever their ids. One that cannot be read differs.
 */
export async function differentMasks(paths: readonly string[]): Promise<string | undefined> {
  const maps = await Promise.all(paths.map((path) => decodeLabels(path).catch(() => undefined)));
  const [first, ...rest] = maps;
  if (!first || rest.includes(undefined)) return ", and not all of them can be read";
  if (rest.every((other) => sameCells(first, other as LabelMap))) return undefined;
  return `, and they differ (${maps.map((map) => map?.count).join(" and ")} cells)`;
}

function sameCells(a: LabelMap, b: LabelMap): boolean {
  if (a.shape.join() !== b.shape.join()) return false;
  const [toB, toA] = [new Map<number, number>([[0, 0]]), new Map<number, number>([[0, 0]])];
  for (let i = 0; i < a.data.length; i++) {
    const [x, y] = [a.data[i] as number, b.data[i] as number];
    if (!toB.has(x) && !toA.has(y)) {
      toB.set(x, y);
      toA.set(y, x);
    } else if (toB.get(x) !== y || toA.get(y) !== x) return false;
  }
  return true;
}
