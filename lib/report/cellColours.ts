/** Colours for the cells of a label map, such that neighbours can be told apart. */
import type { Colour, OverlayLabels } from "./canvas.js";

/** Seen on dark and on pale images: yellow, cyan, magenta, green, red, blue. */
const colours: readonly Colour[] = [
  [255, 225, 25],
  [0, 225, 255],
  [255, 80, 220],
  [80, 255, 80],
  [255, 70, 60],
  [80, 130, 255],
];

/** Cells with at most so many pixels between them are neighbours. */
const GAP = 3;

/**
 * A colour for each id: cells that share an edge have different ones, other neighbours where the colours suffice.
 */
export function cellColours(labels: OverlayLabels): (id: number) => Colour {
  const neighbours = neighboursOf(labels);
  const chosen = new Map<number, number>();
  for (const id of smallestLast(neighbours)) {
    const taken = new Map<number, number>();
    for (const [other, near] of neighbours.get(id) ?? []) {
      const colour = chosen.get(other);
      if (colour !== undefined) taken.set(colour, (taken.get(colour) ?? 0) + (near === 0 ? 1000 : 1));
    }
    // The free colours are taken in turn, so that all of them are seen.
    const order = colours.map((_, i) => (id + i) % colours.length);
    chosen.set(
      id,
      order.reduce((best, colour) => ((taken.get(colour) ?? 0) < (taken.get(best) ?? 0) ? colour : best)),
    );
  }
  return (id) => colours[chosen.get(id) ?? 0] as Colour;
}

/** For each cell its neighbours, with the number of pixels between them. */
function neighboursOf({ data, shape: [height, width] }: OverlayLabels): Map<number, Map<number, number>> {
  const found = new Map<number, Map<number, number>>();
  const of = (id: number) => {
    const known = found.get(id) ?? new Map<number, number>();
    found.set(id, known);
    return known;
  };
  const meet = (a: number, b: number, gap: number) => {
    if (b <= 0 || a === b) return;
    of(a).set(b, Math.min(gap, of(a).get(b) ?? gap));
    of(b).set(a, Math.min(gap, of(b).get(a) ?? gap));
  };
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = y * width + x;
      const id = data[at] as number;
      if (id <= 0) continue;
      const right = x + 1 < width ? data[at + 1] : id;
      const below = y + 1 < height ? data[at + width] : id;
      if (id === right && id === below) continue;
      of(id);
      for (let k = 1; k <= GAP + 1; k++) {
        if (x + k < width) meet(id, data[at + k] as number, k - 1);
        if (y + k < height) meet(id, data[at + k * width] as number, k - 1);
        if (x + k < width && y + k < height) meet(id, data[at + k * width + k] as number, k);
        if (x - k >= 0 && y + k < height) meet(id, data[at + k * width - k] as number, k);
      }
    }
  }
  return found;
}

/**
 * The order of Matula and Beck (Smallest-last ordering and clustering and graph coloring algorithms, J. ACM 1983): the graph of
 * cells of one part each that share edges is planar, so every cell has at most five of them before it, and six colours suffice.
 */
function smallestLast(neighbours: ReadonlyMap<number, ReadonlyMap<number, number>>): number[] {
  const most = colours.length - 1;
  const touching = (id: number) => [...(neighbours.get(id) ?? [])].filter(([, gap]) => gap === 0).map(([other]) => other);
  const left = new Map([...neighbours.keys()].map((id) => [id, touching(id).length]));
  const ready = [...left].filter(([, degree]) => degree <= most).map(([id]) => id);
  const order: number[] = [];
  while (left.size > 0) {
    const id = ready.pop() ?? (left.keys().next().value as number);
    if (!left.delete(id)) continue;
    order.push(id);
    for (const other of touching(id)) {
      const degree = left.get(other);
      if (degree === undefined) continue;
      left.set(other, degree - 1);
      if (degree - 1 === most) ready.push(other);
    }
  }
  return order.reverse();
}
