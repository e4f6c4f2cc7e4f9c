/** How images become training tiles. */

import type { z } from "zod";
import { once } from "../lazily.js";
import { epoch, pixels, tiling } from "../settings/groups.js";
import { flag, path, setting, zod } from "./fields.js";

/** Settings of the stain transform, which have no effect while it is off. */
const stains = ["inversion", "eosin", "dab", "onlyNuclei", "gamma"] as const;

/** How pixel values are read. Training and prediction must agree on these, so both take them from here. */
export const intensityFields = () => ({
  normalize: setting(pixels.normalize).describe(
    "Clips each channel at percentiles and equalises its local contrast (CLAHE), as CellSAM's own inference does.",
  ),
  intensity: setting(pixels.intensity).describe(
    "How 16-bit and float images become 8-bit: by percentiles of the image or by the full range of the type.",
  ),
  greyChannel: setting(pixels.greyChannel).describe(
    "The channels that a grey image becomes: blue, as CellSAM expects, or all three.",
  ),
  nuclearChannel: setting(pixels.nuclearChannel).describe(
    "The channel of RGB images that shows nuclei: it becomes green, and wholeCellChannel blue, as CellSAM expects. With one " +
      "of the two alone the image is read as grey.",
  ),
  wholeCellChannel: setting(pixels.wholeCellChannel).describe("The channel of RGB images that shows membrane or cytoplasm."),
  rgbTransform: setting(pixels.rgbTransform).describe(
    "Keeps only the blue channel of RGB images; a grey image becomes the blue channel.",
  ),
  stainTransform: setting(pixels.stainTransform).describe(
    "Converts bright-field RGB to amounts of stain: haematoxylin (nuclei) in green, eosin and DAB in blue.",
  ),
  inversion: setting(pixels.inversion).describe("Shows much stain dark, as in the image, and not bright."),
  eosin: setting(pixels.eosin).describe("Share of eosin in the blue channel."),
  dab: setting(pixels.dab).describe("Share of DAB in the blue channel."),
  onlyNuclei: setting(pixels.onlyNuclei).describe("Leaves out eosin and DAB: the blue channel stays empty."),
  gamma: setting(pixels.gamma).describe("Exponent of the amounts of stain; above 1 it darkens faint stain."),
});

const intensitySchema = once(() => zod().object(intensityFields()));
export type IntensityConfig = z.output<ReturnType<typeof intensitySchema>>;

/** Picks the settings of `intensityFields` from a larger configuration. */
export function intensityOf(config: IntensityConfig): IntensityConfig {
  const names = Object.keys(intensitySchema().shape) as (keyof IntensityConfig)[];
  return Object.fromEntries(names.map((name) => [name, config[name]])) as IntensityConfig;
}

/** Refuses settings that exclude each other or have no effect; for the `superRefine` of every schema with `intensityFields`. */
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
  for (const key of stains) {
    if (!config.stainTransform && config[key] !== pixels[key].default) {
      problem(key, "has no effect without stainTransform: true");
    }
  }
}

export const tileFields = () => ({
  tileSize: setting(tiling.tileSize).describe("Side of the square training tiles, in pixels."),
  tileOverlap: setting(tiling.overlap).describe("Share of a tile's side that it has in common with the next tile."),
  minFragmentArea: setting(tiling.minFragmentArea).describe(
    "Smallest area, in pixels, of a piece of a cell that a tile's edge cuts off; smaller pieces are dropped.",
  ),
});

export const dataFields = () => ({
  imgPath: path().describe("Folder of images, or one image."),
  maskPath: path().describe("Folder of label masks or annotations, or one file."),
  binaryMasks: flag()
    .default(false)
    .describe("Masks show only foreground and background; each connected part of the foreground is a cell."),
  ...intensityFields(),
  ...tileFields(),
  augmentation: setting(epoch.augment).describe("Flips and quarter turns of training tiles."),
  complexAugmentation: setting(epoch.complexAugmentation).describe(
    "Adds scaling, shearing, shifting, elastic deformation, brightness, contrast and the gamma of each channel to augmentation.",
  ),
  augmentationVariants: setting(epoch.augmentationVariants).describe(
    "Number of versions of each tile under complexAugmentation, of which every epoch draws one; 0: a new version in every " +
      "epoch. Features of a frozen backbone can be cached for a limited number only, which shows the model less variety.",
  ),
});
