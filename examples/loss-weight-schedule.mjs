/**
 * Loss weights that change while a stage trains: the boundary loss comes in slowly, since outlines mean little before masks lie
 * where the cells are. The runner asks before every epoch.
 *
 *   node loss-weight-schedule.mjs IMAGES MASKS
 */
import { ExperimentRunner } from "cellsam-train";

const [imgPath = "images", maskPath = "masks"] = process.argv.slice(2);
const stage = { totalEpochs: Number(process.env.EPOCHS ?? 20), learningRate: 1e-3 };
const runner = new ExperimentRunner(
  {
    imgPath,
    maskPath,
    outputName: "schedule",
    size: "tiny",
    tileSize: 128,
    strategy: "train_val_split",
    stage1Config: stage,
    stage2Config: stage,
  },
  {
    overwrite: true,
    lossWeights: ({ stage, epoch, epochs }) => (stage === 2 ? { boundaryLossWeight: epoch / epochs } : {}),
  },
);
for await (const event of runner.events()) {
  if (event.type !== "epoch" || event.stage !== 2) continue;
  console.log(JSON.stringify({ epoch: event.epoch, boundary: event.train.boundary_loss, total: event.train.total_loss }));
}
