/**
 * The child process of `cellsam doctor`: reads the driver, loads libtorch and the engine, and trains one step on every device.
 * It prints one JSON line for each step that succeeded; an error ends it with the reason on stderr.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { engineCommand } from "../engine/commands.js";
import { driverInfo } from "../engine/native.js";
import { type Device, openSession } from "../engine/session.js";
import { openStoreWriter } from "../engine/storeWriter.js";

const print = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`);

async function probe(): Promise<void> {
  print({ driver: driverInfo() });
  if (!process.argv.includes("--load")) return;
  const { torch, cpuCapability, cudaKernels, devices } = engineCommand<{
    torch: string;
    cpuCapability: string;
    cudaKernels: string[] | string;
    devices: { kind: string; name: string }[];
  }>("info");
  print({ info: { torch, cpuCapability, cudaKernels, devices } });
  const folder = mkdtempSync(join(tmpdir(), "cellsam-doctor-"));
  try {
    const store = await oneTile(join(folder, "tile"));
    for (const { kind, name } of devices) {
      const device = (kind === "cpu" ? "cpu" : name) as Device;
      const start = performance.now();
      await trainStep(store, device);
      print({ step: { device, seconds: (performance.now() - start) / 1000 } });
    }
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** A store of one tile with one square cell. */
async function oneTile(path: string): Promise<string> {
  const side = 128;
  const image = new Uint8Array(side * side);
  const labels = new Int32Array(side * side);
  for (let y = 40; y < 80; y += 1) {
    image.fill(200, y * side + 40, y * side + 80);
    labels.fill(1, y * side + 40, y * side + 80);
  }
  const writer = await openStoreWriter({ path, tileSize: side, normalize: false });
  try {
    await writer.add({
      image: { data: image, shape: [side, side] },
      labels: { data: labels, shape: [side, side] },
      source: "cell",
    });
    return (await writer.finish()).path;
  } finally {
    await writer.dispose();
  }
}

async function trainStep(store: string, device: Device): Promise<void> {
  const session = await openSession({ size: "tiny", device, threads: 1 });
  try {
    await session.beginStage({ stage: 1, epochs: 1, stepsPerEpoch: 1 });
    await session.trainEpoch({ store, indices: Int32Array.of(0), epoch: 1, batchSize: 1, augment: false });
  } finally {
    await session.dispose();
  }
}

probe().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message.split("\n")[0] : String(error)}\n`);
  process.exitCode = 1;
});
