/** The store of training tiles of one data set, built once and shared by every run with the same files and settings. */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { intensityOf } from "../config/data.js";
import type { ExperimentConfig } from "../config/experiment.js";
import type { CheckedPair } from "../data/check.js";
import { filesOf, pairImage, pairLabels } from "../data/source.js";
import type { openStoreWriter } from "../engine/storeWriter.js";
import { CellsamError } from "../errors.js";
import { fileHash } from "../fileHash.js";
import { readJson, writeJson } from "../monitor/json.js";

/** The tiles of one source image: `tiles` of them from number `first` on. */
export interface SourceTiles {
  source: string;
  first: number;
  tiles: number;
  instances: number;
}

export interface TileStore {
  path: string;
  key: string;
  sources: SourceTiles[];
}

/** What the engine's store writer is told. */
export function tileSettings(config: ExperimentConfig) {
  const { tileSize, tileOverlap, minFragmentArea } = config;
  return { tileSize, overlap: tileOverlap, minFragmentArea, ...intensityOf(config) };
}

/** Names the content of all files together with every setting that changes the tiles. */
export async function storeKey(pairs: readonly CheckedPair[], config: ExperimentConfig, version: string): Promise<string> {
  const hash = createHash("sha256");
  const { binaryMasks, ignoreLabel, categories, page, channels, slice, frame } = config;
  const source = { binaryMasks, ignoreLabel, categories, page, channels, slice, frame };
  hash.update(JSON.stringify({ version, ...tileSettings(config), source }));
  // One COCO file serves every image: it is hashed once.
  const known = new Map<string, string>();
  for (const pair of pairs) {
    const hashes: string[] = [];
    for (const file of await filesOf(pair)) {
      if (!known.has(file)) known.set(file, await fileHash(file));
      hashes.push(known.get(file) as string);
    }
    hash.update(JSON.stringify([pair.stem, hashes, pair.annotation ?? null, pair.item ?? null]));
  }
  return hash.digest("hex").slice(0, 32);
}

export interface BuildOptions {
  /** Folder of stores, shared by experiments. */
  cacheDir: string;
  key: string;
  openStoreWriter: typeof openStoreWriter;
  onProgress?: (done: number, total: number) => void;
  /** Hears that a store was damaged and is built again. */
  onWarning?: (message: string) => void;
  signal?: AbortSignal | undefined;
}

/** What stands beside a store. */
interface StoreIndex {
  bytes: number;
  sources: SourceTiles[];
  /** SHA-256 of the store's own SHA-256 and of what stands above. */
  checksum: string;
}

async function storeIndex(path: string, sources: SourceTiles[]): Promise<StoreIndex> {
  const { size: bytes } = await stat(path);
  const checksum = createHash("sha256")
    .update(JSON.stringify([await fileHash(path), bytes, sources]))
    .digest("hex");
  return { bytes, sources, checksum };
}

/**
 * The sources of a store that is as it was written; null when one byte of it or of its index is not. Reading a store once costs
 * little beside training on it, and nothing of it is then found to be damaged in the middle of an epoch.
 */
async function intactSources(path: string, index: string): Promise<SourceTiles[] | null> {
  try {
    const noted = await readJson<StoreIndex>(index);
    if ((await stat(path)).size !== noted.bytes) return null;
    return (await storeIndex(path, noted.sources)).checksum === noted.checksum ? noted.sources : null;
  } catch {
    // Whatever cannot be read is built again; where that is impossible too, building says why.
    return null;
  }
}

/** Opens the store named `key`, building it first when it is not there or damaged. */
export async function tileStore(
  pairs: readonly CheckedPair[],
  config: ExperimentConfig,
  options: BuildOptions,
): Promise<TileStore> {
  const { cacheDir, key, signal } = options;
  const path = join(cacheDir, `${key}.store`);
  const index = join(cacheDir, `${key}.json`);
  // The index is written last: without it the store is not complete.
  if (existsSync(index) && existsSync(path)) {
    const sources = await intactSources(path, index);
    if (sources) return { path, key, sources };
    options.onWarning?.(`the stored tiles in ${path} are damaged; they are cut again`);
    await rm(index, { force: true });
  }
  await mkdir(cacheDir, { recursive: true });
  const writer = await options.openStoreWriter({ path, ...tileSettings(config) });
  try {
    const sources: SourceTiles[] = [];
    for (const [i, pair] of pairs.entries()) {
      signal?.throwIfAborted();
      const pixels = await pairImage(pair, config);
      const labels = await pairLabels(pair, config);
      const { first, tiles, instances } = await writer.add({ image: pixels, labels, source: pair.stem });
      sources.push({ source: pair.stem, first, tiles, instances });
      options.onProgress?.(i + 1, pairs.length);
    }
    await writer.finish();
    await writeJson(index, await storeIndex(path, sources));
    return { path, key, sources };
  } finally {
    await writer.dispose();
  }
}

/**
 * Numbers of the tiles of `sources`, ascending.
 * @throws CellsamError ERR_SPLIT when they hold no cell, from which nothing could be learnt or measured
 */
export function tilesOf(store: TileStore, sources: readonly string[], side: string): Int32Array {
  const wanted = new Set(sources);
  const chosen = store.sources.filter(({ source }) => wanted.has(source));
  if (chosen.every(({ instances }) => instances === 0)) {
    throw new CellsamError(
      "ERR_SPLIT",
      `none of the ${chosen.length} ${side} images holds a cell; choose another splitSeed or give splits`,
    );
  }
  return Int32Array.from(chosen.flatMap(({ first, tiles }) => Array.from({ length: tiles }, (_, i) => first + i)));
}
