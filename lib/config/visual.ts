/** Settings of the pictures of a stage: in which epochs, and how many. Each picture costs a prediction. */
import { flag, integer } from "./fields.js";

const condition = "Only with debug set to true, and never with save_visualizations set to false.";

/** The flag that switches the pictures of a stage on; `what` is what they show. */
export const drawingFlag = (what: string) =>
  flag().default(true).describe(`Draws ${what} of some validation images (without validation, training images). ${condition}`);

export const drawingFields = (frequency: number) => ({
  visualizationFrequency: integer(1)
    .default(frequency)
    .describe("Draws after every so many epochs: 2 draws epochs 2, 4, 6 and so on."),
  maxVisualizationsPerEpoch: integer(0).default(4).describe("Most pictures of an epoch, one an image; 0 draws none."),
});

/** Whether the settings of a stage choose this epoch, counted from 1, for pictures. */
export function asksForPictures(
  settings: { visualizationFrequency: number } & ({ visualizePredictions: boolean } | { visualizeMasks: boolean }),
  epoch: number,
): boolean {
  const on = "visualizePredictions" in settings ? settings.visualizePredictions : settings.visualizeMasks;
  return on && epoch % settings.visualizationFrequency === 0;
}
