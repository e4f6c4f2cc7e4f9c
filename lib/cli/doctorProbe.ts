/**
 * The child process of `cellsam doctor`: reads the driver, loads libtorch and the engine, and trains a few steps of both stages
 * on every GPU, or on the CPU where there is none. It prints one JSON line for each thing that succeeded; an error ends it with
 * the reason on stderr.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { drawTile, storeTile } from "../bench/tile.js";
import { engineInfo, resolvePrecision } from "../engine/device.js";
import { driverInfo } from "../engine/native.js";
import { type Device, openSession } from "../engine/session.js";
import type { ProbeLine, StepDone, StepPlan } from "../runtime/doctorChild.js";

const print = (line: ProbeLine) => process.stdout.write(`${JSON.stringify(line)}\n`);

async function probe(): Promise<void> {
  print({ driver: driverInfo() });
  if (!process.argv.includes("--load")) return;
  const { torch, cpuCapability, cudaKernels, devices } = engineInfo();
  const gpus = devices.filter(({ kind }) => kind === "cuda").map(({ name }) => name);
  const steps = (gpus.length > 0 ? gpus : ["cpu"]).flatMap((device): StepPlan[] => {
    const precision = resolvePrecision("auto", device as Device);
    return [
      { stage: 1, device, precision },
      { stage: 2, device, precision },
    ];
  });
  print({ info: { torch, cpuCapability, cudaKernels, devices, steps } });
  const folder = mkdtempSync(join(tmpdir(), "cellsam-doctor-"));
  try {
    const store = join(folder, "tile");
    await storeTile(store, drawTile(128, 9));
    for (const step of steps) print({ step: await train(store, step) });
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** One step, which also sets things up, and an epoch of four more, whose speed is told. */
async function train(store: string, plan: StepPlan): Promise<StepDone> {
  const { device, precision, stage } = plan;
  const session = await openSession({ size: "tiny", device: device as Device, precision, threads: 1 });
  const tiles = (count: number) => ({ store, indices: new Int32Array(count), batchSize: 2, augment: false });
  try {
    await session.beginStage({ stage, epochs: 2, stepsPerEpoch: 4 });
    const first = await session.trainEpoch({ ...tiles(2), epoch: 1 });
    const { images, seconds } = await session.trainEpoch({ ...tiles(8), epoch: 2 });
    return { ...plan, seconds: first.seconds, imagesPerSecond: images / seconds };
  } finally {
    await session.dispose();
  }
}

probe().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message.split("\n")[0] : String(error)}\n`);
  process.exitCode = 1;
});
