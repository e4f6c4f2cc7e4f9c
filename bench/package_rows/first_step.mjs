// node first_step.mjs STORE DEVICE THREADS: opens `tiny`, trains one step of stage 1 and ends.
import { openSession } from "cellsam-train";

const [store = "", device = "cpu", threads] = process.argv.slice(2);
const session = await openSession({ size: "tiny", device: device === "cpu" ? "cpu" : "cuda", threads: Number(threads) });
await session.beginStage({ stage: 1, epochs: 1, stepsPerEpoch: 1 });
await session.trainEpoch({ store, indices: Int32Array.of(0), epoch: 1, batchSize: 1, augment: true });
await session.dispose();
