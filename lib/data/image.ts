/**
 * The types of pixels in lib/data: what a format reader returns, and what the rest of the package gets. A reader returns what
 * the file stores; the rules that turn it into an image or a label map are in pixels.ts and labels.ts.
 */

import type { LabelFacts } from "./labelFacts.js";
import type { Tally } from "./problem.js";

/**
 * Pixels as a file stores them. 64-bit integers arrive as Float64Array (exact up to 2^53, larger values are refused by the
 * reader).
 */
export type Samples =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array;

/** What a format reader returns: stored values in C order, and what is needed to interpret them. */
export interface RawImage {
  data: Samples;
  /** "bool", "uint8", "int64", "float32" ... : the type in the file, which `data` may widen. */
  dtype: string;
  shape: number[];
  /** The last channel is declared to be alpha by the file. */
  alpha: boolean;
  /** Bits per sample below 8 (1, 2, 4); values are not stretched yet. */
  bits?: number;
  /** Colour table of an indexed image, 3 bytes (R, G, B) per entry; `data` has the indices. */
  palette?: Uint8Array;
  /** TIFF photometric 0: stored values are inverted with respect to brightness. */
  whiteIsZero?: boolean;
  /** How viewers turn it (EXIF and TIFF, 1 to 8); absent: as stored. */
  orientation?: number;
  /** The channels are already the ones that the options choose, in that order. */
  selected?: boolean;
  notes: string[];
}

/** An image as the engine takes it: [H,W] or [H,W,C] with C = 3; no alpha, no NaN, nothing negative. */
export interface NdImage {
  data: Uint8Array | Uint16Array | Float32Array;
  dtype: "uint8" | "uint16" | "float32";
  shape: [number, number] | [number, number, number];
  /** Decisions made while reading (alpha dropped, channels moved, ...), one sentence each. */
  notes: string[];
  /** The colour of an image that showed one channel in colour and was read as grey: "red", ... */
  oneColour?: string;
  /** Height and width as stored, and the orientation (EXIF, 2 to 8) of the file; absent where it has none. */
  stored?: { shape: [number, number]; orientation: number };
}

/** Pixels as the file stores them, for measurements: [H,W] or [H,W,C] with every channel but alpha, unscaled. */
export interface StoredImage {
  data: Samples;
  dtype: string;
  shape: number[];
  notes: string[];
}

/**
 * A label map [H,W]: 0 is background, -1 an ignore region (neither cell nor background), every other value is one cell. Ids are
 * those of the file.
 */
export interface LabelMap {
  data: Int32Array;
  shape: [number, number];
  /** Number of different ids above 0. */
  count: number;
  notes: string[];
  /** Of a foreground mask: the highest value that it stores. */
  foreground?: number;
  /** As of NdImage. */
  stored?: { shape: [number, number]; orientation: number };
  /** Only with LabelOptions.facts; null where nothing could be counted. */
  facts?: LabelFacts | null;
  /** Counts of decisions about objects of an annotation. */
  tallies?: Tally[];
  /** Categories of the objects that an annotation has. */
  categories?: CategoryCount[];
}

/** Objects of one category. */
export interface CategoryCount {
  name: string;
  /** Its number or id in the file, which may stand for the name. */
  id?: string;
  count: number;
  /** Pixels of objects of other categories, and how many of them lie in objects of this one. */
  otherArea: number;
  coveredArea: number;
}

/** Which part of a file of several channels, slices, time points or pages is read. */
export interface ReadImageOptions {
  /** Largest height x width that is decoded. Default 16384 x 16384. */
  maxPixels?: number;
  /** Page of a TIFF with several pages, from 0, whatever it shows. */
  page?: number;
  /**
   * Channels to take, from 0: one makes a grey image, two are [nuclei, whole cell] and become green and blue, three become red,
   * green, blue. Pages of a TIFF without a description of its axes are then taken as channels.
   */
  channels?: readonly number[];
  /** Slice of a z stack, from 0, or "max" for the largest value over all slices. */
  slice?: number | "max";
  /** Time point of a series, from 0. */
  frame?: number;
  /** Leaves the pixels as they are stored, whatever the orientation of the file says. Default false. */
  asStored?: boolean;
  /** Colours mean something: an image of which one channel holds anything is not read as grey. Default false. */
  keepColours?: boolean;
}

export interface DecodeOptions extends ReadImageOptions {
  /** Every channel that the file stores, whatever `channels` says. Default false. */
  allChannels?: boolean;
}

/** Which objects of an annotation are cells. */
export interface ObjectOptions {
  /** Names of the categories that are cells. Default: all. */
  categories?: readonly string[];
  /** Where a cell comes with its nucleus: which of the two outlines is taken. Default "cell". */
  outline?: "cell" | "nucleus";
  /** What becomes of an object without a usable outline. Default "error". */
  withoutOutline?: "error" | "leave_out" | "ignore";
}

export interface LabelOptions extends DecodeOptions, ObjectOptions {
  /** Masks are foreground/background: 4-connected regions of non-zero pixels become the cells. Default false. */
  binaryMasks?: boolean;
  /** Value of pixels that are neither cell nor background. */
  ignoreLabel?: number;
  /** Value that is background besides 0, or of foreground masks instead of 0. */
  backgroundLabel?: number;
  /**
   * What an id in several regions is: "check" and "keep", one cell; "connected", a cell for each region of pixels that share an
   * edge. Default "check", which leaves the judgement to labelFindings.ts.
   */
  relabel?: Relabel;
  /** Cells of fewer pixels become background. Default 0. */
  minCellArea?: number;
  /** Also counts what labelFindings.ts judges. Default false. */
  facts?: boolean;
  /** Page of a mask TIFF, from 0. Without it `slice` and `frame` choose, as for images. */
  maskPage?: number;
  /** How the file is to be read. Default: a label image. */
  annotation?: Annotation;
  /** In an annotation file for many images (COCO, CVAT): the name of the image. */
  item?: string;
  /** [height, width] of the image, for annotations that do not contain it (GeoJSON, YOLO, ImageJ). */
  size?: readonly [number, number];
}

/** What is done with ids in several regions. */
export type Relabel = "check" | "connected" | "keep";

/** Kinds of files that list objects. */
export const OBJECT_KINDS = ["coco", "geojson", "labelme", "cvat", "yolo", "imagej_roi"] as const;
export type ObjectKind = (typeof OBJECT_KINDS)[number];

/** The kinds of annotation: label images (also Cellpose's and OME-Zarr's), lists of objects, a folder with one mask per object. */
export const ANNOTATIONS = ["label_images", "cellpose", ...OBJECT_KINDS, "object_folders", "ome_zarr"] as const;
export type Annotation = (typeof ANNOTATIONS)[number];

export const DEFAULT_MAX_PIXELS = 16384 * 16384;
