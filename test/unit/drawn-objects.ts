// Drawn cells for tests of annotations: discs on a grid, whose number, places and areas are known.
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { encode } from "fast-png";

export const side = 128;
/** Centres of 14 discs that do not touch: 4 a row, 28 pixels apart. */
export const centres = Array.from({ length: 14 }, (_, i) => [20 + 28 * (i % 4), 20 + 28 * Math.floor(i / 4)] as const);

/** A disc as x, y, x, y, ... */
export function disc(x: number, y: number, radius: number, points = 40): number[] {
  return Array.from({ length: points }, (_, i) => (2 * Math.PI * i) / points).flatMap((angle) => [
    x + radius * Math.cos(angle),
    y + radius * Math.sin(angle),
  ]);
}

export function rectangle(x: number, y: number, width: number, height: number): number[] {
  return [x, y, x + width, y, x + width, y + height, x, y + height];
}

/** [[x, y], ...] of x, y, x, y, ... */
export const points = (flat: readonly number[]) =>
  Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i] as number, flat[2 * i + 1] as number] as [number, number]);

/** A closed ring, as GeoJSON wants it. */
export const closed = (flat: readonly number[]) => [...points(flat), points(flat)[0]];

/** Writes files below `root`, folders included: text, bytes, JSON. */
export async function write(root: string, files: Record<string, string | Uint8Array | object>): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(root, name)), { recursive: true });
    const bytes = typeof content === "string" || content instanceof Uint8Array ? content : JSON.stringify(content);
    await writeFile(join(root, name), bytes);
  }
}

/** A grey PNG of noise-free grey. */
export function picture(width = side, height = side): Uint8Array {
  return encode({ width, height, channels: 1, data: new Uint8Array(width * height).map((_, i) => (i * 7) % 251) });
}

/** An 8-bit label PNG with a square of 4 pixels for each id, 8 pixels apart. */
export function labels(ids: readonly number[], width = side, height = side): Uint8Array {
  const data = new Uint8Array(width * height);
  for (const [i, id] of ids.entries()) {
    const [x, y] = [8 * (i % 12), 8 * Math.floor(i / 12)];
    for (let row = y; row < y + 4; row++) data.fill(id, row * width + x, row * width + x + 4);
  }
  return encode({ width, height, channels: 1, data });
}
