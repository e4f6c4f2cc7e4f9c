/** How images become training tiles, and which of them are held back for validation. */
import { choice, flag, integer, openRatio, path, ratioBelow } from "./fields.js";

/** How pixel values are read. Training and prediction must agree on these, so both take them from here. */
export const intensityFields = {
  /** Per channel percentile clipping and local contrast equalisation, as CellSAM's own inference does. */
  normalize: flag().default(true),
  /** How 16-bit and float images become 8-bit: by percentiles of the image or by the full range of the type. */
  intensity: choice(["percentile", "full"]).default("percentile"),
  /** Where a grey image goes: the blue channel, as CellSAM expects, or all three. */
  greyChannel: choice(["blue", "all"]).default("blue"),
};

export const tileFields = {
  tileSize: integer(32, 8192).default(512),
  tileOverlap: ratioBelow(0.9).default(0.25),
  /** Pixels below which a piece of a cell cut by a tile's edge is dropped. */
  minFragmentArea: integer(0).default(0),
};

/** How a split is drawn when none is given. */
export const splitDefaults = { valRatio: 0.3, splitSeed: 23 };

export const dataFields = {
  imgPath: path(),
  maskPath: path(),
  /** Masks are foreground masks, whose connected parts become the cells. */
  binaryMasks: flag().default(false),
  ...intensityFields,
  ...tileFields,
  /** Flips and quarter turns of training tiles. */
  augmentation: flag().default(false),
  /** A splits.json with the lists `train` and `val` of image names; unset: drawn at random. */
  splits: path().nullable().default(null),
  valRatio: openRatio().default(splitDefaults.valRatio),
  splitSeed: integer(0, 2 ** 32 - 1).default(splitDefaults.splitSeed),
};
