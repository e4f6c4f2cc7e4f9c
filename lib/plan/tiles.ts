/**
 * Counts the tiles of a data set without the engine: how many there are, with how many cells, and how large they are on disk.
 */
import type { ExperimentConfig } from "../config/experiment.js";
import type { LabelMap } from "../data/image.js";
import { idRegions } from "../data/regions.js";

type TileSettings = Pick<ExperimentConfig, "tileSize" | "tileOverlap" | "minFragmentArea">;

/** The tiles of one source image. */
export interface PlannedTiles {
  source: string;
  cells: number;
  /** Cells in each tile, row by row. */
  cellsPerTile: number[];
  /** Cells of one region that are whole in no tile; what lies in several regions no tile size would help. */
  cut: number;
  /** Of the largest region of each cell: square roots of the cells' areas, in pixels. */
  diameters: number[];
}

/** The positions at which tiles begin along one axis, as in native/data/tile.cc. */
export function tileStarts(length: number, { tileSize, tileOverlap }: Omit<TileSettings, "minFragmentArea">): number[] {
  const stride = Math.max(1, Math.round(tileSize * (1 - tileOverlap)));
  const missing = length <= tileSize ? tileSize - length : (stride - ((length - tileSize) % stride)) % stride;
  const before = Math.floor(missing / 2);
  const starts: number[] = [];
  for (let start = 0; start + tileSize <= length + missing; start += stride) starts.push(start - before);
  return starts;
}

export function planTiles(source: string, labels: LabelMap, settings: TileSettings): PlannedTiles {
  const [height, width] = labels.shape;
  const { tileSize, minFragmentArea } = settings;
  const whole = areas(labels, 0, 0, height, width);
  const uncut = new Set<number>();
  const cellsPerTile: number[] = [];
  for (const y of tileStarts(height, settings)) {
    for (const x of tileStarts(width, settings)) {
      const here = areas(labels, Math.max(0, y), Math.max(0, x), Math.min(height, y + tileSize), Math.min(width, x + tileSize));
      let cells = 0;
      for (const [id, area] of here) {
        const all = whole.get(id) as number;
        if (area === all) uncut.add(id);
        if (area === all || area >= minFragmentArea) cells++;
      }
      cellsPerTile.push(cells);
    }
  }
  const regions = idRegions(labels.data, height, width);
  const diameters = [...whole].map(([id, area]) => Math.sqrt(regions?.get(id)?.largest ?? area));
  const cut = [...whole.keys()].filter((id) => !uncut.has(id) && (regions?.get(id)?.regions ?? 1) === 1).length;
  return { source, cells: whole.size, cellsPerTile, cut, diameters };
}

/** Area in pixels of each cell in a part of the map. */
function areas({ data, shape }: LabelMap, top: number, left: number, bottom: number, right: number): Map<number, number> {
  const found = new Map<number, number>();
  for (let y = top; y < bottom; y++) {
    for (let i = y * shape[1] + left, end = y * shape[1] + right; i < end; ) {
      const id = data[i] as number;
      const start = i;
      while (i < end && data[i] === id) i++;
      if (id > 0) found.set(id, (found.get(id) ?? 0) + i - start);
    }
  }
  return found;
}

/**
 * Bytes of the store file without the few hundred of its settings: 7 bytes a pixel (RGB and a 32-bit label), each tile rounded
 * up to 64, and 64 more in the index; native/data/store_format.h.
 */
export function storeBytes(tiles: readonly PlannedTiles[], tileSize: number): number {
  const pitch = Math.ceil((7 * tileSize * tileSize) / 64) * 64 + 64;
  const names = tiles.reduce((sum, { source }) => sum + 24 + Buffer.byteLength(source), 0);
  return 64 + 16 + names + pitch * tiles.reduce((sum, { cellsPerTile }) => sum + cellsPerTile.length, 0);
}
