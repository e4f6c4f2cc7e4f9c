/** What a run records beside its results, and which weights it keeps beside the best. Names and defaults are the Python module's. */
import { flag, integer, zeroOrInteger } from "./fields.js";

export const monitoringFields = () => ({
  tensorboard: flag().default(true).describe("Writes TensorBoard event files to logs/tensorboard."),
  logFreq: integer(1).default(10).describe("Every so many steps one goes to TensorBoard, and always the last of an epoch."),
  eventFreq: integer(1)
    .default(1)
    .describe(
      "Every so many steps one goes to logs/events.jsonl, and always the last of an epoch. 1 keeps all of them, at about 300 bytes each.",
    ),
  saveCheckpoints: flag().default(true).describe("Keeps weights of epochs on the way, s1_epoch_25.pth and so on."),
  saveFreq: integer(1).default(25).describe("Every so many epochs, with saveCheckpoints."),
  keepLastN: zeroOrInteger(1, Number.MAX_SAFE_INTEGER)
    .default(3)
    .describe("Newest epoch checkpoints to keep in each stage; 0 keeps all. The best is never one of them."),
  keepBestOnly: flag().default(false).describe("Keeps no epoch checkpoints, only the best weights."),
  saveFinalModel: flag()
    .default(false)
    .describe("Also keeps the weights of each stage's last epoch, final_model_s1.pth and final_model_s2.pth."),
});
