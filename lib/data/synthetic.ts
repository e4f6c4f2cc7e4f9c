/**
 * A small synthetic data set for tests and examples: images like fluorescence of nuclei in touching clumps, with texture,
 * uneven light, blur and noise, and label maps that are correct by construction. The same options give the same pixels.
 */
import { join } from "node:path";
import { writeAtomic } from "../files/writeAtomic.js";
import { lazily } from "../lazily.js";
import { connectedComponents } from "./labels.js";
import { Random } from "./random.js";
import { writeLabels } from "./write.js";

const fastPng = lazily<typeof import("fast-png")>("fast-png");

export interface SyntheticOptions {
  /** The folder in which images/ and masks/ are made. */
  directory: string;
  /** Number of images, at least 1. */
  images: number;
  /** Height and width in pixels, 64 to 1024. Default 128. Cells keep their size; their number grows with the area. */
  size?: number;
  seed: number;
}

export interface SyntheticDataset {
  imgPath: string;
  maskPath: string;
  /** Names of the images without extension. */
  stems: string[];
  /** Cells over all images. */
  cells: number;
}

/** A field of cells: intensities [H,W] from 0 to 255 and ids [H,W]. */
export interface SyntheticField {
  pixels: Uint8Array;
  labels: Int32Array;
  count: number;
}

/** Outline r(angle) = ellipse x (1 + two small harmonics), so that nuclei are neither circles nor ellipses. */
interface Cell {
  x: number;
  y: number;
  semiMajor: number;
  semiMinor: number;
  angle: number;
  waves: { order: number; amplitude: number; phase: number }[];
}

/**
 * Draws and writes the data set: images/synthetic_000.png (8-bit grey) and masks/synthetic_000.png (16-bit ids).
 * @throws RangeError
 */
export async function generateSynthetic({ directory, images, size = 128, seed }: SyntheticOptions): Promise<SyntheticDataset> {
  if (!Number.isInteger(images) || images < 1) throw new RangeError(`images must be a whole number from 1, got ${images}`);
  if (!Number.isInteger(size) || size < 64 || size > 1024)
    throw new RangeError(`size must be a whole number from 64 to 1024, got ${size}`);
  const random = new Random(seed);
  const out: SyntheticDataset = { imgPath: join(directory, "images"), maskPath: join(directory, "masks"), stems: [], cells: 0 };
  const digits = Math.max(3, String(images - 1).length);
  let writing: Promise<void>[] = [];
  for (let i = 0; i < images; i++) {
    // Each image has its own generator: image 7 is the same in a set of 8 and in a set of 800.
    const field = drawField(new Random(random.integer(0, 2 ** 31)), size);
    const stem = `synthetic_${String(i).padStart(digits, "0")}`;
    const png = fastPng().encode({ width: size, height: size, channels: 1, depth: 8, data: field.pixels });
    writing.push(writeAtomic(join(out.imgPath, `${stem}.png`), png));
    writing.push(writeLabels(join(out.maskPath, `${stem}.png`), { data: field.labels, shape: [size, size] }));
    out.stems.push(stem);
    out.cells += field.count;
    // Sixteen images are written at the same time: one by one, flushing to disk would take longer than drawing.
    if (i % 16 === 15 || i === images - 1) {
      await Promise.all(writing);
      writing = [];
    }
  }
  return out;
}

/** One field [size,size]: 8 to 20 cells of 14 to 30 px per 128 x 128 pixels. */
export function drawField(random: Random, size: number): SyntheticField {
  const area = (size / 128) ** 2;
  const wanted = Math.round(random.integer(8, 20) * area);
  const { labels, radius, count } = placeCells(random, size, wanted);
  const light = lightOf(random, size, labels, radius, count);
  return { pixels: expose(random, blur(light, size, random.uniform(0.7, 1.2)), size), labels, count };
}

/** Adds cells until there are `wanted`: some anywhere, as the first of a clump, the others touching one that exists. */
function placeCells(random: Random, size: number, wanted: number) {
  const labels = new Int32Array(size * size);
  // Distance to the centre over distance to the outline, of the cell that owns the pixel; 0 at the centre, 1 at the edge.
  const radius = new Float32Array(size * size).fill(Number.POSITIVE_INFINITY);
  const cells: Cell[] = [];
  const areas: number[] = [];
  for (let tries = 0; cells.length < wanted && tries < wanted * 80; tries++) {
    const cell = shapeOf(random);
    const neighbour = cells.length > 0 && random.uniform() < 0.72 ? cells[random.integer(0, cells.length - 1)] : undefined;
    if (neighbour) {
      const direction = random.uniform(0, 2 * Math.PI);
      const gap = outline(neighbour, direction) + outline(cell, direction + Math.PI);
      cell.x = neighbour.x + Math.cos(direction) * gap * random.uniform(0.86, 1.02);
      cell.y = neighbour.y + Math.sin(direction) * gap * random.uniform(0.86, 1.02);
    } else {
      cell.x = random.uniform(0, size);
      cell.y = random.uniform(0, size);
    }
    if (claim(cell, cells.length + 1, size, labels, radius, areas)) cells.push(cell);
  }
  return { labels, radius, count: cells.length };
}

function shapeOf(random: Random): Cell {
  const semiMinor = random.uniform(7, 11);
  const semiMajor = Math.min(15, semiMinor * random.uniform(1, 1.6));
  const waves = [2, 3, 4].map((order) => ({
    order,
    amplitude: random.uniform(0, 0.07),
    phase: random.uniform(0, 2 * Math.PI),
  }));
  return { x: 0, y: 0, semiMajor, semiMinor, angle: random.uniform(0, Math.PI), waves };
}

/** Distance from the centre to the outline in a direction, pixels. */
function outline(cell: Cell, direction: number): number {
  const t = direction - cell.angle;
  const ellipse = 1 / Math.hypot(Math.cos(t) / cell.semiMajor, Math.sin(t) / cell.semiMinor);
  return ellipse * cell.waves.reduce((sum, { order, amplitude, phase }) => sum + amplitude * Math.cos(order * t + phase), 1);
}

/**
 * Adds the cell to both maps and returns true, or leaves them as they are where a cell would lose too much area or be divided,
 * or the new one lies outside the field. `areas[id]` is the area of the whole outline, visible or not.
 */
function claim(cell: Cell, id: number, size: number, labels: Int32Array, radius: Float32Array, areas: number[]): boolean {
  const taken: { at: number; label: number; radius: number }[] = [];
  const reach = Math.ceil(cell.semiMajor * 1.25);
  let full = 0;
  for (let y = Math.floor(cell.y) - reach; y <= cell.y + reach; y++) {
    for (let x = Math.floor(cell.x) - reach; x <= cell.x + reach; x++) {
      const distance = Math.hypot(x - cell.x, y - cell.y) / outline(cell, Math.atan2(y - cell.y, x - cell.x));
      if (distance >= 1) continue;
      full++;
      if (x < 0 || y < 0 || x >= size || y >= size) continue;
      const at = y * size + x;
      // Where two cells overlap, the border is where both are equally deep, as between nuclei that press on each other.
      if (distance < (radius[at] ?? 0)) taken.push({ at, label: labels[at] ?? 0, radius: distance });
    }
  }
  const lost = new Map<number, number>();
  for (const { label } of taken) if (label > 0) lost.set(label, (lost.get(label) ?? 0) + 1);
  const before = new Map([...lost.keys()].map((other) => [other, areaOf(labels, other)]));
  const small = (own: number, whole: number) => own < 0.55 * whole;
  if (small(taken.length, full)) return false;
  for (const [other, pixels] of lost) {
    const had = before.get(other) ?? 0;
    if (small(had - pixels, areas[other] ?? 0) || pixels > 0.18 * had) return false;
  }
  const old = taken.map(({ at }) => radius[at] ?? 0);
  for (const { at, radius: distance } of taken) {
    labels[at] = id;
    radius[at] = distance;
  }
  const whole = [id, ...lost.keys()].every(
    (one) =>
      connectedComponents(
        labels.map((label) => (label === one ? 1 : 0)),
        size,
        size,
      ).count === 1,
  );
  if (!whole) {
    taken.forEach(({ at, label }, i) => {
      labels[at] = label;
      radius[at] = old[i] ?? 0;
    });
    return false;
  }
  areas[id] = full;
  return true;
}

function areaOf(labels: Int32Array, id: number): number {
  let sum = 0;
  for (const label of labels) if (label === id) sum++;
  return sum;
}

/**
 * Intensity before the optics: uneven background, and for each cell a brightness, a dome-shaped profile and a grainy texture.
 */
function lightOf(random: Random, size: number, labels: Int32Array, radius: Float32Array, count: number): Float32Array {
  const coarse = blur(noise(random, size), size, size / 6);
  const fine = blur(noise(random, size), size, 1.6);
  normalise(coarse);
  normalise(fine);
  const base = random.uniform(0.06, 0.16);
  const unevenness = random.uniform(0.02, 0.06);
  const direction = random.uniform(0, 2 * Math.PI);
  const brightness = Array.from({ length: count + 1 }, () => random.uniform(0.38, 1));
  const grain = Array.from({ length: count + 1 }, () => random.uniform(0.06, 0.18));
  return Float32Array.from(labels, (label, at) => {
    const slope =
      (((at % size) / size - 0.5) * Math.cos(direction) + (Math.floor(at / size) / size - 0.5) * Math.sin(direction)) *
      unevenness *
      2;
    const background = Math.max(0.01, base + slope + unevenness * 0.5 * (coarse[at] ?? 0));
    if (label === 0) return background;
    const dome = 1 - 0.45 * (radius[at] ?? 0) ** 2.5;
    return background + (brightness[label] ?? 0) * dome * Math.max(0.2, 1 + (grain[label] ?? 0) * (fine[at] ?? 0)) * 0.8;
  });
}

/** Photon noise, then read noise, then 8 bit. */
function expose(random: Random, light: Float32Array, size: number): Uint8Array {
  const photons = random.uniform(70, 220);
  const read = random.uniform(0.008, 0.02);
  const out = new Uint8Array(size * size);
  for (let i = 0; i < out.length; i++) {
    const value = light[i] ?? 0;
    // The normal approximation of Poisson noise, since there are several photons everywhere.
    const noisy = value + random.normal() * Math.sqrt(value / photons) + random.normal() * read;
    out[i] = Math.max(0, Math.min(255, Math.round(noisy * 230)));
  }
  return out;
}

function noise(random: Random, size: number): Float32Array {
  return Float32Array.from({ length: size * size }, () => random.normal());
}

/** Scales a map to mean 0 and deviation 1, in place. */
function normalise(map: Float32Array): void {
  const mean = map.reduce((sum, value) => sum + value, 0) / map.length;
  const deviation = Math.sqrt(map.reduce((sum, value) => sum + (value - mean) ** 2, 0) / map.length) || 1;
  for (let i = 0; i < map.length; i++) map[i] = ((map[i] ?? 0) - mean) / deviation;
}

/** Separable Gaussian, edges clamped. */
function blur(map: Float32Array, size: number, sigma: number): Float32Array {
  const reach = Math.ceil(sigma * 3);
  const kernel = Array.from({ length: 2 * reach + 1 }, (_, i) => Math.exp(-((i - reach) ** 2) / (2 * sigma * sigma)));
  const total = kernel.reduce((sum, weight) => sum + weight, 0);
  const pass = (from: Float32Array, alongRows: boolean) => {
    const out = new Float32Array(from.length);
    const step = alongRows ? 1 : size;
    for (let line = 0; line < size; line++) {
      const start = line * (alongRows ? size : 1);
      for (let at = 0; at < size; at++) {
        let sum = 0;
        for (let k = -reach; k <= reach; k++) {
          const near = Math.max(0, Math.min(size - 1, at + k));
          sum += (kernel[k + reach] ?? 0) * (from[start + near * step] ?? 0);
        }
        out[start + at * step] = sum / total;
      }
    }
    return out;
  };
  return pass(pass(map, true), false);
}
