/**
 * What a run records besides its results, and which weights it keeps besides the best. Names and defaults are the Python
 * module's.
 */
import { flag, integer } from "./fields.js";

export const monitoringFields = () => ({
  tensorboard: flag().default(true).describe("Writes TensorBoard event files to logs/tensorboard."),
  logFreq: integer(1)
    .default(10)
    .describe("Number of steps between two that go to TensorBoard; the last one of an epoch always does."),
  eventFreq: integer(1)
    .default(1)
    .describe(
      "Number of steps between two that go to logs/events.jsonl; the last one of an epoch always does. 1 keeps all of them, " +
        "at about 300 bytes each.",
    ),
  saveCheckpoints: flag()
    .default(true)
    .describe("Keeps the weights of some epochs during training, s1_epoch_25.pth and so on."),
  saveFreq: integer(1).default(25).describe("Number of epochs between two such checkpoints."),
  keepLastN: integer(0)
    .default(3)
    .describe(
      "Number of the newest epoch checkpoints that each stage keeps; 0 keeps all. The best weights are a file of their own.",
    ),
  keepBestOnly: flag().default(false).describe("Keeps no epoch checkpoints, only the best weights."),
  saveFinalModel: flag()
    .default(false)
    .describe("Also keeps the weights of each stage's last epoch, final_model_s1.pth and final_model_s2.pth."),
});
