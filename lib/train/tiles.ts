/** The store of training tiles of a data set. It is built once and shared by all runs with the same files and settings. */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { intensityOf } from "../config/data.js";
import type { ExperimentConfig } from "../config/experiment.js";
import type { CheckedPair } from "../data/check.js";
import { filesOf, pairImage, pairLabels } from "../data/pair.js";
import type { Splits } from "../data/split.js";
import type { openStoreWriter } from "../engine/storeWriter.js";
import { fileHash } from "../files/fileHash.js";
import { makeFolder } from "../files/folders.js";
import { readJson, writeJson } from "../files/json.js";
import { checkOutputFolder } from "../files/outputPath.js";

/** The tiles of one source image: `tiles` of them, from number `first` on, with `instances` cells. */
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

/** A hash of the content of all files and of every setting that changes the tiles. */
export async function storeKey(pairs: readonly CheckedPair[], config: ExperimentConfig, version: string): Promise<string> {
  const hash = createHash("sha256");
  const { binaryMasks, ignoreLabel, backgroundLabel, relabel, minCellArea, maskPage } = config;
  const { categories, outline, withoutOutline } = config;
  const { page, channels, slice, frame } = config;
  const masks = { binaryMasks, ignoreLabel, backgroundLabel, relabel, minCellArea, maskPage };
  const reading = { ...masks, categories, outline, withoutOutline, page, channels, slice, frame };
  hash.update(JSON.stringify({ version, ...tileSettings(config), source: reading }));
  // One COCO file serves every image: it is hashed once.
  const known = new Map<string, string>();
  for (const pair of pairs) {
    const hashes: string[] = [];
    for (const file of await filesOf(pair)) {
      if (!known.has(file)) known.set(file, await fileHash(file));
      hashes.push(known.get(file) as string);
    }
    const stored = [pair.imageAsStored ?? false, pair.maskAsStored ?? false];
    hash.update(JSON.stringify([pair.source, hashes, pair.annotation ?? null, pair.item ?? null, stored]));
  }
  return hash.digest("hex").slice(0, 32);
}

export interface BuildOptions {
  /** Folder of stores, shared by experiments. */
  cacheDir: string;
  key: string;
  openStoreWriter: typeof openStoreWriter;
  onProgress?: (done: number, total: number) => void;
  /** Called when a store was damaged and is built again. */
  onWarning?: (message: string) => void;
  signal?: AbortSignal | undefined;
}

/** The file beside a store. */
interface StoreIndex {
  bytes: number;
  sources: SourceTiles[];
  /** SHA-256 of the store's own SHA-256 and of the fields above. */
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
 * The sources of a store; null when one byte of it or of its index has changed. Reading a store once takes little time compared
 * with training on it, and it cannot turn out to be damaged in the middle of an epoch.
 */
async function intactSources(path: string, index: string): Promise<SourceTiles[] | null> {
  try {
    const noted = await readJson<StoreIndex>(index);
    if ((await stat(path)).size !== noted.bytes) return null;
    return (await storeIndex(path, noted.sources)).checksum === noted.checksum ? noted.sources : null;
  } catch {
    // What cannot be read is built again; where that is impossible too, building reports why.
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
    options.onWarning?.(`the stored tiles in ${path} are damaged; the tiles are made again`);
    await rm(index, { force: true });
  }
  await checkOutputFolder("outputDir", cacheDir);
  await makeFolder(cacheDir);
  const writer = await options.openStoreWriter({ path, ...tileSettings(config) });
  try {
    const sources: SourceTiles[] = [];
    for (const [i, pair] of pairs.entries()) {
      signal?.throwIfAborted();
      const pixels = await pairImage(pair, config);
      const labels = await pairLabels(pair, config);
      const { first, tiles, instances } = await writer.add({ image: pixels, labels, source: pair.source });
      sources.push({ source: pair.source, first, tiles, instances });
      options.onProgress?.(i + 1, pairs.length);
    }
    await writer.finish();
    await writeJson(index, await storeIndex(path, sources));
    return { path, key, sources };
  } finally {
    await writer.dispose();
  }
}

/** The tiles of both sides of a split; none validate where everything trains. */
export function splitTiles(store: TileStore, { train, val }: Splits): { trainTiles: Int32Array; valTiles: Int32Array } {
  return { trainTiles: tilesOf(store, train), valTiles: tilesOf(store, val) };
}

/** Numbers of the tiles of `sources`, ascending. */
function tilesOf(store: TileStore, sources: readonly string[]): Int32Array {
  const wanted = new Set(sources);
  const chosen = store.sources.filter(({ source }) => wanted.has(source));
  return Int32Array.from(chosen.flatMap(({ first, tiles }) => Array.from({ length: tiles }, (_, i) => first + i)));
}
