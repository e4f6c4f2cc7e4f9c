/**
 * A strategy of one's own: the runner asks it for splits of the images, and trains once for each. This one holds out every
 * microscope in turn, which it reads from the first part of a file's name ("zeiss-0001.tif").
 *
 *   node custom-strategy.mjs IMAGES MASKS
 */
import { ExperimentRunner } from "cellsam-train";

/** @import { Strategy } from "cellsam-train" */

/** @implements {Strategy} */
class LeaveOneMicroscopeOut {
  name = "leave_one_microscope_out";

  /** @type {Strategy["prepareSplits"]} */
  prepareSplits(sources) {
    const microscopes = [...new Set(sources.map((source) => source.split("-")[0]))];
    return microscopes.map((microscope) => {
      const val = sources.filter((source) => source.startsWith(`${microscope}-`));
      return { seed: 0, train: sources.filter((source) => !val.includes(source)), val };
    });
  }
}

const [imgPath = "images", maskPath = "masks"] = process.argv.slice(2);
const stage = { totalEpochs: Number(process.env.EPOCHS ?? 20), learningRate: 1e-3 };
const runner = new ExperimentRunner(
  { imgPath, maskPath, outputName: "microscopes", size: "tiny", tileSize: 128, stage1Config: stage, stage2Config: stage },
  { strategy: new LeaveOneMicroscopeOut(), overwrite: true },
);
for (const { fold, evaluation, error } of await runner.run()) console.log(JSON.stringify({ fold, f1: evaluation?.f1, error }));
