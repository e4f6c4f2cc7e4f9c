/** The formats of predictions: which files each of them is, and who writes them. */
import { basename } from "node:path";
import type { Pair } from "../data/discover.js";
import type { StoredImage } from "../data/image.js";
import { writeLabels } from "../data/write.js";
import { openCellTableWriter } from "../data/writers/cellTable.js";
import { openCocoWriter } from "../data/writers/coco.js";
import { writeGeojson } from "../data/writers/geojson.js";
import { writeRoiZip } from "../data/writers/imagejRoi.js";
import type { Segmentation } from "../data/writers/segmentation.js";
import { CellsamError } from "../errors.js";
import { nearest } from "../nearest.js";

/**
 * What predictions are written as. A file for each image: label images "tiff" (16 bit, or 32 bit for more than 65535 cells), "png"
 * (16 bit) and "npy" (int32), "geojson" for QuPath, "roi" (RoiSet.zip) for ImageJ. A file for all images: "coco" (coco.json) and
 * "csv" (cells.csv, a table of cells).
 */
export type PredictionFormat = "tiff" | "png" | "npy" | "geojson" | "roi" | "coco" | "csv";

/** A format with one file for each image. */
interface ImageFormat {
  /** What follows the name of the image. */
  suffix: string;
  /** Whether it holds every pixel's id, so that all other formats can be made of it. */
  labels: boolean;
  write(path: string, cells: Segmentation): Promise<void>;
}

/** A format with one file for all images. */
interface FolderFormat {
  file: string;
  /** Whether it needs the images as they are stored. */
  measures: boolean;
  open(path: string, channels: number): Promise<FolderWriter>;
}

export interface FolderWriter {
  add(pair: Pair, cells: Segmentation, stored?: StoredImage): Promise<void>;
  commit(): Promise<void>;
  discard(): Promise<void>;
}

const labelImage = (suffix: string): ImageFormat => ({
  suffix,
  labels: true,
  write: (path, { labels }) => writeLabels(path, labels),
});

const imageFormats: Partial<Record<PredictionFormat, ImageFormat>> = {
  tiff: labelImage(".tif"),
  png: labelImage(".png"),
  npy: labelImage(".npy"),
  geojson: { suffix: ".geojson", labels: false, write: writeGeojson },
  roi: { suffix: "_RoiSet.zip", labels: false, write: writeRoiZip },
};

const folderFormats: Partial<Record<PredictionFormat, FolderFormat>> = {
  coco: {
    file: "coco.json",
    measures: false,
    open: async (path) => {
      const { add, ...file } = await openCocoWriter(path);
      return { ...file, add: ({ image }, cells) => add(basename(image), cells) };
    },
  },
  csv: {
    file: "cells.csv",
    measures: true,
    open: async (path, channels) => {
      const { add, ...file } = await openCellTableWriter(path, { channels });
      return { ...file, add: ({ source }, cells, stored) => add(source, cells, stored) };
    },
  },
};

export const predictionFormats = [...Object.keys(imageFormats), ...Object.keys(folderFormats)] as readonly PredictionFormat[];

export function imageFormat(name: PredictionFormat): ImageFormat | undefined {
  return Object.hasOwn(imageFormats, name) ? imageFormats[name] : undefined;
}

export function folderFormat(name: PredictionFormat): FolderFormat | undefined {
  return Object.hasOwn(folderFormats, name) ? folderFormats[name] : undefined;
}

/** The formats that were asked for, each once. @throws CellsamError ERR_INVALID_ARGUMENT */
export function formatsOf(format: PredictionFormat | readonly PredictionFormat[]): PredictionFormat[] {
  const asked = [...new Set(typeof format === "string" ? [format] : format)];
  const unknown = asked.filter((name) => !predictionFormats.includes(name));
  if (unknown.length === 0 && asked.length > 0) return asked;
  const meant = unknown.map((name) => nearest(String(name), predictionFormats)).filter((name) => name !== undefined);
  const hint = meant.length > 0 ? ` (did you mean ${meant.join(", ")}?)` : "";
  throw new CellsamError(
    "ERR_INVALID_ARGUMENT",
    `format must be of ${predictionFormats.join(", ")}, not ${unknown.join(", ") || "nothing"}${hint}`,
  );
}
