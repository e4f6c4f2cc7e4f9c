/** How images become training tiles. */

import type { z } from "zod";
import { once } from "../lazily.js";
import { choice, flag, integer, nonNegative, path, positive, ratioBelow, zod } from "./fields.js";

const channel = () => choice(["red", "green", "blue"]).nullable().default(null);

/** Settings of the stain transform, which mean nothing while it is off. */
const stainDefaults = { inversion: false, eosin: 0, dab: 1, onlyNuclei: false, gamma: 2.1 };

/** How pixel values are read. Training and prediction must agree on these, so both take them from here. */
export const intensityFields = () => ({
  normalize: flag()
    .default(true)
    .describe("Per channel percentile clipping and local contrast equalisation, as CellSAM's own inference does."),
  intensity: choice(["percentile", "full"])
    .default("percentile")
    .describe("How 16-bit and float images become 8-bit: by percentiles of the image or by the full range of the type."),
  greyChannel: choice(["blue", "all"])
    .default("blue")
    .describe("Where a grey image goes: the blue channel, as CellSAM expects, or all three."),
  nuclearChannel: channel().describe(
    "The channel of RGB images that shows nuclei: it becomes green, wholeCellChannel blue, as CellSAM expects. One of the two alone is a grey image.",
  ),
  wholeCellChannel: channel().describe("The channel of RGB images that shows membrane or cytoplasm."),
  rgbTransform: flag().default(false).describe("Only the blue channel of RGB images stays; a grey image goes to blue."),
  stainTransform: flag()
    .default(false)
    .describe("Bright-field RGB becomes amounts of stain: haematoxylin (nuclei) in green, eosin and DAB in blue."),
  inversion: flag().default(stainDefaults.inversion).describe("Much stain is dark, as in the source."),
  eosin: nonNegative().default(stainDefaults.eosin).describe("Share of eosin in the blue channel."),
  dab: nonNegative().default(stainDefaults.dab).describe("Share of DAB in the blue channel."),
  onlyNuclei: flag().default(stainDefaults.onlyNuclei).describe("No eosin or DAB: the blue channel stays empty."),
  gamma: positive().default(stainDefaults.gamma).describe("Exponent of the amounts of stain: above 1 darkens faint ones."),
});

const intensitySchema = once(() => zod().object(intensityFields()));
export type IntensityConfig = z.output<ReturnType<typeof intensitySchema>>;

/** The settings of `intensityFields` out of a larger configuration. */
export function intensityOf(config: IntensityConfig): IntensityConfig {
  const names = Object.keys(intensitySchema().shape) as (keyof IntensityConfig)[];
  return Object.fromEntries(names.map((name) => [name, config[name]])) as IntensityConfig;
}

/** Settings that exclude each other or have no effect: for `superRefine` of every schema that holds `intensityFields`. */
export function checkIntensity(config: IntensityConfig, context: z.RefinementCtx): void {
  const problem = (key: string, message: string) => context.addIssue({ code: "custom", path: [key], message });
  const rules = {
    nuclearChannel: config.nuclearChannel !== null,
    wholeCellChannel: config.wholeCellChannel !== null,
    rgbTransform: config.rgbTransform,
    stainTransform: config.stainTransform,
  };
  const [first, ...others] = Object.keys(rules).filter((key) => rules[key as keyof typeof rules]);
  for (const key of others) {
    if (key !== "wholeCellChannel") problem(key, `excludes ${first}, which replaces the colours that ${key} needs`);
  }
  if (rules.nuclearChannel && config.nuclearChannel === config.wholeCellChannel) {
    problem("wholeCellChannel", `is ${config.wholeCellChannel}, and so is nuclearChannel; give one of them alone`);
  }
  for (const [key, value] of Object.entries(stainDefaults)) {
    if (!config.stainTransform && config[key as keyof typeof stainDefaults] !== value) {
      problem(key, "has no effect without stainTransform: true");
    }
  }
}

export const tileFields = () => ({
  tileSize: integer(32, 8192).default(512).describe("Side of the square training tiles, in pixels."),
  tileOverlap: ratioBelow(0.9).default(0.25).describe("Share of a tile that it has in common with the next one."),
  minFragmentArea: integer(0).default(0).describe("Pixels below which a piece of a cell cut by a tile's edge is dropped."),
});

export const dataFields = () => ({
  imgPath: path().describe("Folder of images, or one image."),
  maskPath: path().describe("Folder of label masks or annotations, or one file."),
  binaryMasks: flag().default(false).describe("Masks are foreground masks, whose connected parts become the cells."),
  ...intensityFields(),
  ...tileFields(),
  augmentation: flag().default(false).describe("Flips and quarter turns of training tiles."),
  complexAugmentation: flag()
    .default(false)
    .describe("Besides: scaling, shearing, shifting, elastic deformation, brightness and contrast."),
  augmentationVariants: integer(0, 1_000_000)
    .default(0)
    .describe(
      "Versions of each tile under complexAugmentation, of which every epoch draws one; 0: new ones in every epoch. Features of a frozen trunk can be kept of a number of versions only, which show less variety.",
    ),
});
