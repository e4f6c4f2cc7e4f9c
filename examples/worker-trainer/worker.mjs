/** The thread of main.mjs: one training, told epoch by epoch. */
import { parentPort, workerData } from "node:worker_threads";
import { train } from "cellsam-train";

const stage = { totalEpochs: Number(process.env.EPOCHS ?? 20), learningRate: 1e-3 };
const training = train(
  {
    ...workerData,
    outputName: "worker",
    size: "tiny",
    tileSize: 128,
    strategy: "train_val_split",
    stage1Config: stage,
    stage2Config: stage,
  },
  { overwrite: true },
);
if (!parentPort) throw new Error("start main.mjs, which starts this");
parentPort.on("message", () => training.stop(new Error("stopped")));
for await (const event of training) {
  if (event.type === "epoch")
    parentPort.postMessage({ stage: event.stage, epoch: event.epoch, loss: event.validation?.total_loss });
}
const [fold] = await training.results;
parentPort.postMessage({ done: true, f1: fold?.evaluation?.f1 ?? null });
parentPort.close();
