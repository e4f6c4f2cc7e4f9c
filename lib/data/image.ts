/**
 * The types of pixels in lib/data: what a format reader returns, and what the rest of the package gets. A reader returns what
 * the file stores; the rules that turn it into an image or a label map are in pixels.ts and labels.ts.
 */

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
}

export interface DecodeOptions extends ReadImageOptions {
  /** Every channel that the file stores, whatever `channels` says. Default false. */
  allChannels?: boolean;
}

export interface LabelOptions extends DecodeOptions {
  /** Masks are foreground/background: 4-connected regions of non-zero pixels become the cells. Default false. */
  binaryMasks?: boolean;
  /** Value of pixels that are neither cell nor background. */
  ignoreLabel?: number;
  /** How the file is to be read. Default: a label image. */
  annotation?: Annotation;
  /** In an annotation file for many images (COCO): the file_name of the image. */
  item?: string;
  /** Names of the COCO categories that are cells. Default: all. */
  categories?: readonly string[];
  /** [height, width] of the image, for annotations that do not contain it (GeoJSON). */
  size?: readonly [number, number];
}

/** The kinds of annotation: a label image (also Cellpose's), COCO JSON, GeoJSON, a folder with one mask per object. */
export type Annotation = "label_images" | "cellpose" | "coco" | "geojson" | "object_folders";

export const DEFAULT_MAX_PIXELS = 16384 * 16384;
